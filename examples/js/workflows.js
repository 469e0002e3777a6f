// Workflows: steps of tools, agents and functions, one after the other, at once, by a condition, or again and again.
//
//   $ greenroom run js/workflows.js --agent echo

// The session journals each stage. A run that a crash interrupts goes on from its journal, without doing a finished step
// again.
const session = Session.create({ name: "Orders" });
Session.setCurrent(session);

// A step is a tool, an agent or a function of the script. {{step:NAME:output}} stands for what an earlier step returned,
// {{input}} for what the whole workflow was given.
const invoice = Workflow.sequential({
  name: "invoice",
  steps: [
    { name: "total", tool: "calculator", input: { expression: "{{input.amount}} * {{input.price}}" } },
    { name: "rounded", type: "function", function: (input) => input.toFixed(2), input: "{{step:total:output}}" },
    {
      name: "text",
      tool: "template_engine",
      input: {
        template: "{{who}} owes {{sum}} EUR",
        variables: { who: "{{input.who}}", sum: "{{step:rounded:output}}" },
      },
    },
  ],
});
const result = invoice.execute({ who: "Ada", amount: 3, price: 2.5 });
print(`${result.success}: ${result.data.final_output}`);
//> true: Ada owes 7.50 EUR
print(result.data.steps.total.output);
//> 7.5

// At once: the output is that of all steps, by name.
const both = Workflow.parallel({
  name: "look at it",
  steps: [
    { name: "words", tool: "text_stats", input: { text: "{{input}}" } },
    { name: "hash", tool: "hash_calculator", input: { input: "{{input}}", algorithm: "sha256" } },
  ],
});
const seen = both.execute("three little words").data.final_output;
print(`${seen.words.words} ${seen.hash.slice(0, 6)}`);
//> 3 9c3d53

// By a condition: the first branch whose condition holds, else the default branch.
const answer = (name, template) => ({ name, tool: "template_engine", input: { template, variables: {} } });
const router = Workflow.conditional({
  name: "router",
  branches: [
    { name: "large", condition: "{{input.amount}} > 100", steps: [answer("ask", "a person looks at it")] },
    { name: "small", condition: { value: "{{input.amount}}", above: 0 }, steps: [answer("pay", "paid at once")] },
  ],
  default_branch: { steps: [answer("refuse", "refused")] },
});
for (const amount of [500, 20, 0]) print(`${amount}: ${router.execute({ amount }).data.final_output}`);
//> 500: a person looks at it
//> 20: paid at once
//> 0: refused

// Again and again: over a range, a collection, or while a condition holds. The output is the list of the rounds'.
const squares = Workflow.loop({
  name: "squares",
  iterator: { collection: [2, 3, 4] },
  body: [{ name: "square", tool: "calculator", input: { expression: "{{loop:current_value}} ^ 2" } }],
});
print(squares.execute().data.final_output.join(" "));
//> 4 9 16

// An agent as a step, and a step that is tried again: the first two attempts fail.
let attempts = 0;
const patient = Workflow.sequential({
  name: "patient",
  steps: [
    {
      name: "flaky",
      type: "function",
      retry_count: 3,
      function: () => {
        attempts += 1;
        if (attempts < 3) throw new Error("not yet");
        return "at last";
      },
    },
    { name: "say", agent: "echo", input: "It worked, {{step:flaky:output}}" },
  ],
});
print(`${patient.execute().data.final_output} (${attempts} attempts)`);
//> It worked, at last (3 attempts)

// A failure is an outcome, not an error. `error_strategy: "continue"` would go on with the next step.
const broken = Workflow.sequential({
  name: "broken",
  steps: [{ name: "divide", tool: "calculator", input: { expression: "1 / 0" } }],
});
broken.onError((problem) => print(`failed in ${problem.step}`));
const outcome = broken.execute();
//> failed in divide
print(`${outcome.success} ${outcome.error !== undefined}`);
//> false true

// Everything that ran is in the journal, stage by stage.
const stages = Event.query({ session_id: session, type: "workflow.stage" });
print(`${stages.length > 10} ${Event.query({ session_id: session, type: "workflow.finished" }).length}`);
//> true 8
