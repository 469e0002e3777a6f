// Hierarchies and templates: work that is split among sessions, and presets for new ones.
//
//   $ greenroom templates save research --prefix "Research: " --tag research --config '{"max_artifacts": 50}'
//   $ greenroom run js/hierarchies.js

// A template is a preset that the store keeps: the beginning of names, tags, metadata, settings. What `create` is given
// itself comes first.
const project = Session.create({ template: "research", name: "tides", metadata: { budget: 40 } });
print(`${project.name}; ${project.hasTag("research")}, ${project.config.max_artifacts}`);
//> Research: tides; true, 50

// Children are sessions of their own: each has its own variables, messages and journal.
for (const question of ["moon", "coast", "wind"]) {
  const child = Session.create({ name: question, parent: project, tags: ["question"] });
  child.setVariable("pages", question.length);
}
for (const child of project.children()) {
  print(`${child.name} ${child.parent() === project} ${child.getVariable("pages")}`);
}
//> moon true 4
//> coast true 5
//> wind true 4

// One goes deeper. `tree` returns the whole family as rows within rows.
const coast = Session.list({ parent: project, search: "coast" })[0];
Session.create({ name: "harbours", parent: coast.id });

function show(row, depth) {
  print("  ".repeat(depth) + row.name);
  for (const child of row.children) show(child, depth + 1);
}
show(Session.tree(project), 0);
//> Research: tides
//>   moon
//>   coast
//>     harbours
//>   wind

// The parent gathers what the children found, and ends them.
let pages = 0;
for (const child of project.children()) {
  pages += child.getVariable("pages");
  child.complete();
}
project.setVariable("pages", pages);
print(`${pages} ${Session.count({ parent: project, status: "completed" })} ${project.status}`);
//> 13 3 active

// A fork is a child that has its parent's history up to some moment: the place to try something else.
const before = project.sequence;
project.setVariable("plan", "by boat");
const other = Session.fork(project, before);
other.setVariable("plan", "on foot");
print(`${project.getVariable("plan")}, ${other.getVariable("plan")}, ${other.getVariable("pages")}`);
//> by boat, on foot, 13
