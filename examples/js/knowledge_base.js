// A knowledge base: notes as artifacts, found by tag, field and text; answers that name their sources.
//
//   $ greenroom run js/knowledge_base.js

const base = Session.getOrCreate("knowledge/bread", { name: "All about bread", tags: ["knowledge"] });

// Notes go in together. A note that is stored again under its name becomes a new version, so that importing twice is
// harmless: equal content costs nothing, and the newest version is the one that counts.
const notes = [
  ["sourdough.md", "Sourdough rises with wild yeast. It needs eight hours at 24 °C.", ["dough"], 1],
  ["rye.md", "Rye flour holds more water than wheat. Rye bread keeps for a week.", ["dough", "flour"], 2],
  ["oven.md", "Bake bread in a hot oven: 250 °C at first, then 210 °C. Steam makes the crust shine.", ["oven"], 1],
  ["crust.md", "A crust stays crisp if the bread cools on a rack.", ["oven"], 3],
  ["storage.md", "Keep bread in paper, not in plastic. Freeze what is left after three days.", ["keeping"], 2],
];
function importNotes() {
  return Artifact.storeMany(base, notes.map(([name, content, tags, level]) => ({
    type: "note",
    name,
    content,
    metadata: { tags, level, description: content.split(/[.:]/)[0] },
  }))).length;
}
print(`${importNotes()} ${importNotes()} ${Artifact.count(base, { latest_only: true })}`);
//> 5 5 5

// By tag, by a field of one's own, and by a text in name, description, tags and fields.
function query(filter) {
  return Artifact.query(base, { latest_only: true, order_by: "name", ...filter }).map((row) => row.name).join(" ");
}
print(query({ tags: ["dough"] }));
//> rye.md sourdough.md
print(query({ custom: { level: 1 } }));
//> oven.md sourdough.md
print(query({ text: "crust" }));
//> crust.md
print(query({ text: "suordough", fuzzy: true }));
//> sourdough.md

// A small search of one's own: notes are ranked by how many words of the question they have.
const words = (text) => new Set(text.toLowerCase().match(/[a-z]{4,}/g));
function search(question, most) {
  const ranked = [];
  for (const row of Artifact.query(base, { latest_only: true })) {
    const content = Artifact.getContent(base, row.id);
    const there = words(content);
    const score = [...words(question)].filter((word) => there.has(word)).length;
    if (score > 0) ranked.push({ name: row.name, score, content });
  }
  ranked.sort((a, b) => b.score - a.score || (a.name < b.name ? -1 : 1));
  return ranked.slice(0, most);
}
for (const hit of search("How hot is the oven for bread with a crust?", 2)) print(`${hit.score} ${hit.name}`);
//> 3 oven.md
//> 2 crust.md

// An answer is a message that keeps what it was made from, so that it can be checked later.
function answer(chat, question) {
  const hits = search(question, 2);
  chat.addMessage("user", question);
  const text = hits.length > 0 ? hits[0].content : "I do not know.";
  chat.addMessage("assistant", text, { metadata: { sources: hits.map((hit) => hit.name) } });
  return text;
}
const chat = Session.create({ name: "Questions", parent: base });
print(answer(chat, "Where do I keep bread?"));
//> Keep bread in paper, not in plastic. Freeze what is left after three days.
print(answer(chat, "Who won the match?"));
//> I do not know.
print(chat.messages()[1].metadata.sources[0]);
//> storage.md
