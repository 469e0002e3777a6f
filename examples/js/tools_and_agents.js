// Tools and agents: those that ship, and those that a plugin in Python registers.
//
//   $ greenroom run js/tools_and_agents.js --agent echo --plugin my_tools:register
//
// --agent echo registers the agent that answers with its input. --plugin calls `register(runtime)` of my_tools.py, which
// registers the tool `weather` and the model `rules`.

// Calls are journaled in the current session. Without one they work too, and nothing is kept.
const session = Session.create({ name: "Calls" });
Session.setCurrent(session);

// `invoke` never throws: its outcome says whether it worked, and why not.
const sum = Tool.invoke("calculator", { expression: "(2 + 3) * 4" });
print(`${sum.success} ${sum.result}`);
//> true 20
const wrong = Tool.invoke("calculator", { expression: "1 / 0" });
print(`${wrong.success}: ${wrong.error}`);
//> false: …zero…
print(`${Tool.invoke("weather", { city: "Berlin" }).result.sky} ${Tool.invoke("weather", { city: "Atlantis" }).success}`);
//> sunny false

// A tool can be held and asked what it takes.
const weather = Tool.get("weather");
print(`${weather.name} ${weather.schema.required[0]} ${weather.execute({ city: "Bergen" }).result.sky}`);
//> weather city rain
print(`${Tool.get("teleport")} ${Tool.exists("uuid_generator")}`);
//> undefined true

// The standard tools cover what scripts often need.
print(Tool.invoke("hash_calculator", { input: "abc", algorithm: "sha256" }).result.slice(0, 8));
//> ba7816bf
print(Tool.invoke("template_engine", { template: "Dear {{name}}", variables: { name: "Ada" } }).result);
//> Dear Ada
print(Tool.invoke("json_processor", { operation: "query", input: '{"a": [1, 2]}', query: "$.a[1]" }).result);
//> 2

// An agent is a model with a name, a prompt and tools. Without any registered model, the global Agent is undefined.
const parrot = Agent.create({ name: "parrot", model: "echo", system_prompt: "Repeat." });
const reply = parrot.invoke("Polly wants a cracker");
print(`${reply.text} ${reply.usage.total_tokens}`);
//> Polly wants a cracker 8

// The builder says the same step by step.
const clerk = Agent.builder().name("clerk").model("rules").system_prompt("Welcome.").tool("weather").build();
const question = [{ role: "user", content: "How is the weather in Bergen?" }];
const wanted = clerk.invoke({ messages: question }).data.tool_call;
print(`${wanted.name} ${wanted.input.city}`);
//> weather Bergen

// All of it stands in the journal: who called what, with which input, and what came of it.
const counts = {};
for (const event of Event.query({ session_id: session })) counts[event.type] = (counts[event.type] ?? 0) + 1;
print(`${counts["tool.called"]} ${counts["tool.returned"]} ${counts["agent.returned"]}`);
//> 8 8 2
