// Hooks and events: code that runs when something happens. A hook can change or refuse it; a subscriber is told of it.
//
//   $ greenroom run js/hooks_and_events.js

const session = Session.create({ name: "Guarded" });
Session.setCurrent(session);

// A hook at a point "Before…" sees what is about to happen. It answers with nothing (go on), "cancel", or an object.
const guard = Hook.register("BeforeStateWrite", (context) => {
  if (context.data.key === "password") {
    return { type: "cancel", reason: "secrets do not belong here" };
  }
  if (context.data.key === "city") {
    return { type: "modified", data: { value: context.data.value.toUpperCase() } };
  }
}, "high");

try {
  State.set("password", "hunter2");
} catch (problem) {
  print(`${problem.code}: ${problem.message}`);
}
//> HookCancelled: …secrets do not belong here…
State.set("city", "Lisbon");
print(`${State.get("city")} ${State.get("password")}`);
//> LISBON undefined

// A hook after the fact only watches. This one notes which tools are called.
const calls = [];
const watch = Hook.register("AfterToolExecution", (context) => {
  calls.push(context.data.name);
});
Tool.invoke("calculator", { expression: "2 ^ 10" });
Tool.invoke("text_stats", { text: "three little words" });
print(calls.join(", "));
//> calculator, text_stats

// Hooks are listed, and end with the script at the latest.
for (const row of Hook.list({ point: "BeforeStateWrite" })) print(`${row.hook_point} ${row.priority}`);
//> BeforeStateWrite high
guard.unregister();
watch.unregister();
print(Hook.list().length);
//> 0

// Events. A subscription gathers them until the script asks for them. In a pattern, * stands for one part of a type.
const orders = Event.subscribe("custom.order.*");
Event.publish("custom.order.placed", { id: 7, items: ["bread", "salt"] });
Event.publish("custom.weather", { rain: true });
Event.publish("custom.order.paid", { id: 7 });
for (let event; (event = Event.receive(orders, 100)); ) {
  print(`${event.type} ${event.data.id} ${event.session_id === session}`);
}
//> custom.order.placed 7 true
//> custom.order.paid 7 true
Event.unsubscribe(orders);

// `on` calls a function for each event instead. greenroom's own events are heard the same way.
Event.on("variable.set", (event) => print(`changed: ${event.data.key}`));
State.set("step", 1);
State.set("step", 2);
Event.dispatch(100);
//> changed: step
//> changed: step

// Events are kept in the journal of their session, and found again by type, tag, time or correlation.
const found = Event.query({ session_id: session, type: "custom.order.*" });
print(`${found.length} ${found[0].data.items[1]}`);
//> 2 salt

// What caused what: a timeline puts effects below their causes.
Event.publish("custom.order.packed", { id: 7 }, { correlation_id: found[0].correlation_id });
print(Event.timeline(found[0].correlation_id).length >= 2);
//> true
