// A complete agent: several turns, tools, memory, a summary at the end. It goes on where it stopped when it is run again.
//
//   $ greenroom run js/chat_agent.js --plugin my_tools:register
//
// The model is `rules` of my_tools.py, which reads the conversation and asks for a tool or answers, as a language model does.
// To talk to a real one, register it there instead; nothing here changes.

// One session per user, found by a key of ours. Whoever comes back finds the conversation as it was.
const chat = Session.getOrCreate("chat/ada", { name: "Chat with Ada", tags: ["chat"] });
Session.setCurrent(chat);
if (chat.status === "suspended") chat.resume();

const agent = Agent.create({
  name: "helper",
  model: "rules",
  system_prompt: "How can I help?",
  tools: ["weather", "calculator"],
});
const MOST_STEPS = 5; // of one turn; a model that asks for tools without end is stopped

// What the model gets: the turns so far, as the session keeps them.
const conversation = () => chat.messages({ limit: 20 }).map(({ role, content }) => ({ role, content }));

// One turn: the model is asked until it answers in words. What its tools return goes into the conversation, too.
function turn(text) {
  chat.addMessage("user", text);
  for (let step = 0; step < MOST_STEPS; step++) {
    const reply = agent.invoke({ messages: conversation() });
    const call = reply.data.tool_call;
    if (!call) {
      chat.addMessage("assistant", reply.text, { metadata: { tokens: reply.usage.total_tokens } });
      State.set("tokens", State.get("tokens", 0) + reply.usage.total_tokens);
      return reply.text;
    }
    const outcome = Tool.invoke(call.name, call.input);
    const content = outcome.success ? JSON.stringify(outcome.result) : `failed: ${outcome.error}`;
    chat.addMessage("tool", content, { name: call.name });
  }
  return "I could not find out.";
}

const questions = [
  "Hello, my name is Ada.",
  "How is the weather in Bergen?",
  "And the weather in Atlantis?",
  "What is 19 * 3 + 4?",
  "Thank you!",
];
for (const question of questions) {
  print(`> ${question}`);
  print(`  ${turn(question)}`);
}
//> > Hello, my name is Ada.
//>   Nice to meet you, Ada.
//> > How is the weather in Bergen?
//>   The tool says: {"city":"Bergen","sky":"rain"}
//> > And the weather in Atlantis?
//>   The tool says: failed: …no weather is known for Atlantis…
//> > What is 19 * 3 + 4?
//>   The tool says: 61
//> > Thank you!
//>   How can I help? You have said 5 things so far.

// The session has everything: the turns, the calls, the cost. A summary of it becomes an artifact.
const messages = chat.messages({ limit: 100 });
const roles = {};
for (const message of messages) roles[message.role] = (roles[message.role] ?? 0) + 1;
print(`${roles.user} ${roles.tool} ${roles.assistant} ${State.get("tokens") > 0}`);
//> 5 3 5 true
const failed = Event.query({ session_id: chat, type: "tool.returned" }).filter((event) => event.data.error).length;
print(failed);
//> 1
const asked = messages.filter((message) => message.role === "user").map((message) => `- ${message.content}`);
const id = Artifact.store(chat, "agent_output", "summary.md", [`# ${chat.name}`, "", ...asked].join("\n"), {
  tags: ["summary"],
});
print(`${Artifact.getInfo(chat, id).name} ${Artifact.getInfo(chat, id).version}`);
//> summary.md 1

// Tags say what kind of conversation it was, so that a query finds it among thousands.
if (roles.tool) chat.addTag("used-tools");
if (failed > 0) chat.addTag("had-failures");
print(Session.list({ tags: ["used-tools", "had-failures"] })[0].name);
//> Chat with Ada

// Suspended, it costs nothing until the user comes back.
chat.suspend();
print(chat.status);
//> suspended
