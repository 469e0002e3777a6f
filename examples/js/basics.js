// Sessions: made, found, changed, ended.
//
//   $ greenroom run js/basics.js
//
// JavaScript needs the extra: pip install 'greenroom[js]'. Run the examples in the folder `examples`. Each one works on the
// store in ./greenroom-data, or wherever --data says. What a line prints stands behind an arrow, with … for what is different
// each time.

// A session is one piece of work: a chat, a run of an agent, a pipeline. `create` returns its id. The id is a string, and
// it also answers the fields and methods of its session.
const chat = Session.create({
  name: "Bakery questions",
  tags: ["chat", "demo"],
  metadata: { team: "support", priority: 2 },
});
print(`${chat.length} ${chat.name}, ${chat.status}`);
//> 36 Bakery questions, active

// Variables hold what the work needs to remember: any JSON value.
chat.setVariable("customer", { name: "Ada", orders: [3, 5] });
print(chat.getVariable("customer").name, chat.getVariable("language", "en"));
//> Ada en

// Messages are the turns of a conversation.
chat.addMessage("user", "When do you open on Sunday?");
chat.addMessage("assistant", "At eight.");
for (const message of chat.messages()) print(`${message.role}: ${message.content}`);
//> user: When do you open on Sunday?
//> assistant: At eight.

// Functions of `Session` and methods of an id are the same: choose what reads better.
Session.addTag(chat, "opening-hours");
chat.removeTag("demo");
chat.updateMetadata({ priority: 1 });
print(`${chat.getTags().join(", ")}; ${chat.getMetadata().priority}, ${chat.getMetadata().team}`);
//> chat, opening-hours; 1, support

// Queries. Without a status they find active and suspended sessions.
for (let number = 1; number <= 3; number++) {
  Session.create({ name: `Order ${number}`, tags: ["order"], metadata: { paid: number !== 2 } });
}
const orders = Session.list({ tags: ["order"], sort_by: "name", limit: 2 });
print(`${orders.length} of ${orders.total}, more: ${orders.has_more}; ${orders[0].name}, ${orders[1].name}`);
//> 2 of 3, more: true; Order 1, Order 2
print(`${Session.count({ metadata: { paid: false } })} ${Session.list({ search: "BAKERY" })[0].name}`);
//> 1 Bakery questions

// The current session is the one that functions use when none is given.
Session.setCurrent(chat);
print(`${Session.getCurrent() === chat} ${Session.messages().length}`);
//> true 2
Session.setCurrent(null);

// The life of a session. A suspended one can be read, and is not written to. Errors are thrown, with a code.
chat.suspend();
try {
  chat.addMessage("user", "Hello?");
} catch (problem) {
  print(problem.code);
}
//> InvalidSessionState
chat.resume();
chat.complete();
print(`${chat.status} ${chat.ended_at !== undefined}`);
//> completed true

// Completing is final, and errors say what was asked and why it cannot be.
try {
  chat.resume();
} catch (problem) {
  print(problem.code);
}
//> InvalidStateTransition

// Everything that happened is in the journal of the session, and stays there.
print(chat.events({ limit: 5 }).map((event) => event.type).join(" "));
//> session.created variable.set message.added message.added tags.changed
