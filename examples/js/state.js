// State: values under a key, in a scope that says whose they are.
//
//   $ greenroom run js/state.js --plugin my_tools:register

// Without a scope: the variables of the current session, or, while none is current, the store's global values.
State.set("greeting", "hello");
print(`${State.get("greeting")}, ${State.get("missing", "a default")}, ${State.get("missing")}`);
//> hello, a default, undefined

const session = Session.create({ name: "Stateful" });
Session.setCurrent(session);
State.set("step", 1);
print(`${State.get("step")} ${session.getVariable("step")} ${State.get("greeting")}`);
//> 1 1 undefined

// Any scope can be named: of a session, a user, an agent, a tool, a workflow, or a custom one.
State.set("user:ada", "theme", "dark");
State.set("user:bob", "theme", "light");
State.set("global", "motd", "Closed on Monday");
print(`${State.get("user:ada", "theme")}, ${State.get("user:bob", "theme")}, ${State.get("global", "motd")}`);
//> dark, light, Closed on Monday

// Values are what JSON has, and bytes. Whole numbers beyond 2^53 are BigInt, so that no digit is lost.
State.set("custom:settings", "limits", { retries: 3, factor: 1.5, hosts: ["a", "b"], note: null, most: 2n ** 60n });
const limits = State.get("custom:settings", "limits");
print(`${limits.retries} ${limits.factor} ${limits.hosts.length} ${limits.note} ${limits.most}`);
//> 3 1.5 2 null 1152921504606846976

// Lists of values, by the beginning of their keys.
for (let number = 1; number <= 3; number++) State.set("session:current", `page/${number}`, number * 10);
const pages = State.list("session:current", "page/");
print(Object.values(pages).reduce((sum, value) => sum + value, 0));
//> 60

// Two scripts at once: who sets only what is still as it was read loses nothing of the other's work.
State.set("global", "stock", 5);
const taken = State.compareAndSet("global", "stock", 5, 4);
print(`${taken} ${State.compareAndSet("global", "stock", 5, 3)} ${State.get("global", "stock")}`);
//> true false 4

// Schemas check values wherever they are set, and keep their version. The plugin has registered one for "profile" of all
// users, in version 2; that of user:old was stored before there was any.
try {
  State.set("user:ada", "profile", { language: 7 });
} catch (problem) {
  print(problem.code);
}
//> ValidationError
State.set("user:ada", "profile", { language: "en" });
print(`${State.migration_status("user:old").pending} ${State.get("user:old", "profile").lang}`);
//> 1 fr
print(`${State.migrate("user:old").count} ${State.get("user:old", "profile").language}`);
//> 1 fr

// A backup keeps scopes as they are; restoring makes them so again.
const backup = State.create_backup(["user:ada"], { description: "before the change" });
State.set("user:ada", "theme", "neon");
print(`${State.validate_backup(backup.id).is_valid} ${State.list_backups().length}`);
//> true 1
State.restore_backup(backup.id);
print(`${State.get("user:ada", "theme")} ${State.get("user:ada", "profile").language}`);
//> dark en

// undefined deletes, and so does `delete`, which says whether there was a value.
State.set("step", undefined);
print(`${State.get("step")} ${State.delete("step")} ${State.delete("user:bob", "theme")}`);
//> undefined false true

// State of a session ends with the session; that of other scopes stays.
Session.setCurrent(null);
Session.delete(session);
try {
  State.get(`session:${session}`, "page/1");
} catch (problem) {
  print(problem.code);
}
//> SessionNotFound
print(`${State.clear("custom:settings")} ${State.get("user:ada", "theme")}`);
//> 1 dark
