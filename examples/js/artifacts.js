// Artifacts: what a session reads and makes. Text, JSON, binary content, versions, queries, large content.
//
//   $ greenroom run js/artifacts.js

const report = Session.create({ name: "Weekly report" });

// An artifact has a type, a name and content. What the metadata of `store` calls description, tags, label or mime_type are
// fields; whatever else stands there is yours, under `custom`.
const id = Artifact.store(report, "agent_output", "summary.md", "# Week 12\n\nSales went up.\n", {
  description: "the summary for the team",
  tags: ["report", "week-12"],
  author: "writer-bot",
});
print(`${id.sequence} ${id.content_hash.length} ${String(id) === `${id.content_hash}:${report}:1`}`);
//> 1 64 true

// `get` returns the content with the artifact's fields; `getInfo` the fields alone.
const summary = Artifact.get(report, id);
print(`${summary.content.match(/Week \d+/)[0]}, ${summary.metadata.mime_type}, ${summary.metadata.custom.author}`);
//> Week 12, text/markdown, writer-bot

// JSON is text that you write and read with `JSON`.
const figures = { sales: [12, 15, 19], forecast: null, currency: "EUR" };
Artifact.store(report, "tool_result", "figures.json", JSON.stringify(figures));
const read = JSON.parse(Artifact.getContent(report, "figures.json"));
print(`${read.sales[2]} ${read.forecast}`);
//> 19 null

// Content may be any bytes, as a Uint8Array. Here the first bytes of a picture.
const pixels = new Uint8Array(24).fill(255);
pixels.set([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
Artifact.store(report, "user_input", "chart.png", pixels);
const chart = Artifact.get(report, "chart.png");
print(`${chart.content instanceof Uint8Array} ${chart.content[1]} ${chart.metadata.mime_type} ${chart.metadata.size}`);
//> true 80 image/png 24

// The same name again is the next version. Old versions stay, and can be compared.
Artifact.store(report, "agent_output", "summary.md", "# Week 12\n\nSales went up by 12 %.\n", { label: "final" });
for (const version of Artifact.versions(report, "summary.md")) {
  print(`${version.version} ${version.label} ${version.size}`);
}
//> 1 undefined 26
//> 2 final 34
const difference = Artifact.diff(report, "summary.md", 1, "final");
for (const line of difference.split("\n")) {
  if (/^[+-][^+-]/.test(line)) print(line);
}
//> -Sales went up.
//> +Sales went up by 12 %.

// Many at once, in one write: all of them or none.
const parts = [1, 2, 3, 4, 5].map((number) => ({
  type: "tool_result",
  name: `part-${number}.txt`,
  content: `Part ${number}`,
  metadata: { tags: ["part"] },
}));
print(Artifact.storeMany(report, parts).length);
//> 5

// Queries go by type, name, tags, size, time, your own fields, or a text.
print(Artifact.count(report), Artifact.findByTag(report, "part").length, Artifact.findByType(report, "user_input").length);
//> 9 5 1
const found = Artifact.query(report, { name_pattern: "*.txt", order_by: "name_desc", limit: 2 });
print(`${found.total}: ${found.map((row) => row.name).join(" ")}`);
//> 5: part-5.txt part-4.txt
print(Artifact.search(report, "team")[0].name);
//> summary.md

// Large content is stored in pieces; equal content is stored once, whoever stores it and under whatever name.
const lines = [];
for (let number = 1; number <= 60000; number++) lines.push(`row ${number}\twith some measured value\n`);
const large = lines.join("");
const first = Artifact.store(report, "tool_result", "measured.tsv", large);
const other = Session.create({ name: "Another session" });
const second = Artifact.store(other, "tool_result", "copy.tsv", large);
print(`${large.length > 2000000} ${first.content_hash === second.content_hash} ${Artifact.verify(other, second)}`);
//> true true true

// What is too large for the script's memory is written and read piece by piece. Nothing is stored before `close`.
const writer = Artifact.create(report, "tool_result", "log.txt", { tags: ["log"] });
for (let number = 1; number <= 1000; number++) writer.write("line ", number, "\n");
const log = writer.close();
const reader = Artifact.open(report, log);
print(`${reader.read("l")}, ${reader.read(6)}`);
//> line 1, line 2
reader.seek("end", -10);
print(reader.read("a").trim());
//> line 1000
reader.seek("set", 0);
let count = 0;
for (const line of reader.lines()) count += 1;
reader.close();
print(count);
//> 1000

// Deleting removes a version, or, by id, exactly that one.
Artifact.deleteMany(report, ["part-1.txt", "part-2.txt"]);
print(Artifact.count(report, { tags: ["part"] }));
//> 3
