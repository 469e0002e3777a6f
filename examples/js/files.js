// Files: read and written by a script, and moved into artifacts and out of them.
//
//   $ greenroom run js/files.js --profile files --allow-dir /tmp -- /tmp
//
// A script reaches no file unless the one who runs it says so: the profile `files` opens the directories that --allow-dir
// names, and nothing besides. What follows -- are arguments of the script.
const directory = arg[1];
const path = `${directory}/greenroom-example-js.csv`;
print(`${arg[0]} ${directory}`);
//> files.js /tmp

// `io.open` opens a file for reading, or "w" for writing, "a" for appending.
const file = io.open(path, "w");
file.write("name,count\n", "apples,3\n", "pears,5\n");
file.close();

let total = 0;
for (const line of io.lines(path)) total += Number(line.split(",")[1]) || 0;
print(total);
//> 8

// A file becomes an artifact without passing through the script's memory, whatever its size. So it goes back, too.
const session = Session.create({ name: "Fruit" });
const id = Artifact.storeFile(session, path, "user_input", { tags: ["csv"] });
print(`${Artifact.getInfo(session, id).name} ${Artifact.getInfo(session, id).mime_type}`);
//> greenroom-example-js.csv text/csv
print(Artifact.saveToFile(session, id, `${path}.copy`));
//> 28

// Whatever lies elsewhere stays closed, also by way of links and "..".
try {
  io.open(`${directory}/../etc/hostname`);
} catch (problem) {
  print(`${problem.code}: ${problem.message}`);
}
//> AccessDenied: … is outside the directories granted to this script

// A whole session, with its journal and artifacts, fits into one file, and comes back under a new id or the old one.
const bundle = `${directory}/greenroom-example-js.bundle`;
try {
  os.remove(bundle);
} catch {} // there was none
Session.export(session, bundle);
const copy = Session.import(bundle, { keep_ids: false });
print(`${copy !== session} ${copy.name} ${Artifact.list(copy).length}`);
//> true Fruit 1

[path, `${path}.copy`, bundle].forEach((each) => os.remove(each));
