// Replay and recovery: a pipeline fails; its journal says where and why; a copy of it goes on from the step before.
//
//   $ greenroom run js/replay.js

// A pipeline of three steps. Each keeps what it made in a variable, so that the journal has every step.
const pipeline = Session.create({ name: "Nightly figures" });
Session.setCurrent(pipeline);

function step(session, name, work) {
  try {
    session.setVariable(name, work());
    return true;
  } catch (problem) {
    session.fail(`${name}: ${problem.message}`);
    return false;
  }
}

function average(session) {
  const rows = session.getVariable("rows");
  const sum = Tool.invoke("calculator", { expression: rows.join(" + ") });
  if (!sum.success) throw new Error(sum.error);
  return sum.result / rows.length;
}

const publish = (session) => `average: ${session.getVariable("average")}`;

// One of the rows is no number, so the second step fails.
let went = step(pipeline, "rows", () => ["12", "17", "n/a"])
  && step(pipeline, "average", () => average(pipeline))
  && step(pipeline, "report", () => publish(pipeline));
print(`${went} ${pipeline.status} ${pipeline.failure_reason}`);
//> false failed average: …

// What happened, in order. The call of the tool is there with its input.
for (const event of pipeline.events()) {
  print(`${event.sequence} ${event.type} ${event.data.key ?? event.data.name ?? event.data.reason}`);
}
//> 1 session.created …
//> 2 variable.set rows
//> 3 tool.called calculator
//> 4 tool.returned calculator
//> 5 session.failed average: …

// A replay decides every step again, with the answers of tools from the journal: nothing is called, and the result is the
// same to the byte. So the recording can be trusted.
print(`${pipeline.canReplay()} ${pipeline.replay({ mode: "exact" }).identical}`);
//> true true

// What would another value have changed? A replay with a modification says at which event the two ways part.
const whatIf = pipeline.replay({
  mode: Replay.modes.modified,
  modifications: [Replay.create_modification("variables.rows", ["12", "17", "19"])],
});
print(`${whatIf.identical} ${whatIf.divergence.sequence} ${whatIf.divergence.type}`);
//> false 2 variable.set

// Recovery: a fork up to the last good step is a new session with that history. The mended row goes in, and the steps that
// are left run again. The failed session stays as it is, for whoever asks later.
const mended = Session.fork(pipeline, 2);
Session.setCurrent(mended);
mended.setVariable("rows", ["12", "17", "19"]);
went = step(mended, "average", () => average(mended)) && step(mended, "report", () => publish(mended));
mended.complete();
print(`${went} ${mended.status} ${mended.getVariable("report")}`);
//> true completed average: 16

// Where the two runs stopped being the same run.
const compared = Session.compare(pipeline, mended);
print(`${compared.common} ${compared.a.types["session.failed"]} ${compared.b.types["session.completed"]}`);
//> 2 1 1

// Replays can also be planned: every night, a check that the recording still gives the same result.
const schedule = mended.replay({ schedule: Replay.schedules.cron("0 3 * * *", { timezone: "Europe/Berlin" }) });
print(`${schedule.active} ${Session.getReplayStatus(mended).schedules.length}`);
//> true 1
print(Session.stopReplay(mended));
//> true
