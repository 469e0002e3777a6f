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
