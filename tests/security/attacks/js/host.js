/// a value larger than the script in a variable
// ends: ScriptMemoryExceeded
State.set("k", "x".repeat(1000000))
const keep = []
for (let i = 0; i < 100; i++) keep.push(State.get("k"))

/// listing more variables than fit
// ends: ScriptMemoryExceeded
for (let i = 0; i < 24; i++) State.set("k" + i, "x".repeat(500000))
return Object.keys(State.list()).length

/// calls into the host for ever
// ends: ScriptTimeout
for (;;) { try { State.set("k", 1); Session.list({}); Event.query({}) } catch {} }

/// lines of output
// ends: ScriptTimeout
for (;;) print("x".repeat(1000))

/// sessions
// ends: ScriptTimeout
for (;;) Session.create({ name: "flood" })

/// hooks
// ends: ResourceLimitExceeded: 100 hooks
for (;;) Hook.register("BeforeStateWrite", () => {})

/// subscriptions
// ends: ResourceLimitExceeded: 64 subscriptions
for (;;) Event.subscribe("**")

/// functions that are given to the host and refused
// sees: "ValidationError"
let code
for (let i = 0; i < 600; i++) code = attempt(Hook.register, "NoSuchPoint", () => {})
return code

/// agents
// ends: ResourceLimitExceeded: 1000 agents
for (;;) Agent.create({ model: "echo" })

/// artifacts
// ends: ResourceLimitExceeded: max_artifacts
const items = Array.from({ length: 500 }, (_, i) => ({ type: "log", name: "n" + i, content: "c" + i }))
for (;;) Artifact.storeMany("", items)

/// a handler of events that publishes what it handles
// ends: ScriptTimeout
Event.on("custom.*", () => Event.publish("custom.again", {}))
Event.publish("custom.first", {})

/// waiting for an event that never comes
// ends: ScriptTimeout
const s = Event.subscribe("never")
for (;;) Event.receive(s, 1e12)

/// options by the thousand
// ends: ValidationError
Session.list(Object.fromEntries(Array.from({ length: 20000 }, (_, i) => ["option" + i, i])))

/// an agent that asks itself
// sees: "ResourceLimitExceeded"
let depth = 0, code = "none"
const agent = Agent.create({ name: "me", fn: () => {
  if (++depth > 200) return "deep"
  try { agent.invoke("x") } catch (e) { if (code === "none") code = e.code }
  return "x"
} })
agent.invoke("x")
return code

/// an agent of a function that never ends
// ends: ScriptTimeout
const agent = Agent.create({ name: "me", fn: () => { for (;;); } })
for (;;) try { agent.invoke("x") } catch {}

/// a step that is a function and never ends
// ends: ScriptTimeout
Workflow.sequential({ steps: [{ name: "a", function: () => { for (;;); } }] }).execute()
for (;;);

/// a stream that never ends
// ends: ScriptTimeout
for (const value of Streaming.create(function* () { for (;;) yield 1 }));

/// a stream that gives all its values at once, without end
// ends: ScriptMemoryExceeded
Streaming.create(() => { for (;;) Streaming.yield({}) }).next()

/// readers and writers that are never closed
// ends: ResourceLimitExceeded: 32 readers and writers
for (;;) Artifact.create("", "log", "a").write("x")

/// backups and scopes of others
// sees: ["AccessDenied", "AccessDenied", "AccessDenied"]
return [attempt(State.create_backup), attempt(State.save, "global", "k", 1), attempt(State.compareAndSet, "user:7", "k", undefined, 1)]
