// Transcripts: unpacked from the page's bundle, searched, and shown side by side with what changed marked.

const PAGE = 10;
const MOST_COMPARED = 9e6; // words of one text times words of the other, before whole lines are compared instead
const form = document.getElementById("explorer");
const list = document.getElementById("transcript-list");
const more = document.getElementById("more");
let transcripts = [];
let found = [];

async function unpacked() {
  const packed = Uint8Array.from(atob(document.getElementById("bundle").textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const { groups, problems, texts, pairs } = await new Response(stream).json();
  const answer = ([text, tokens, extracted, truncated]) => ({ text: texts[text], tokens, extracted, truncated });
  return pairs.map(([group, problem, change, before, after]) => {
    const [model, suite, was, became] = groups[group];
    const [id, question, gold] = problems[problem];
    return { model, suite, was, became, id, question, gold, change, before: answer(before), after: answer(after) };
  });
}

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// The longest common subsequence of two lists, as one flag for each of their members.
function common(one, other) {
  const width = other.length + 1;
  const lengths = new Uint16Array((one.length + 1) * width);
  for (let i = one.length - 1; i >= 0; i--) {
    for (let j = other.length - 1; j >= 0; j--) {
      lengths[i * width + j] = one[i] === other[j]
        ? lengths[(i + 1) * width + j + 1] + 1
        : Math.max(lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
    }
  }
  const kept = [new Array(one.length).fill(false), new Array(other.length).fill(false)];
  for (let i = 0, j = 0; i < one.length && j < other.length;) {
    if (one[i] === other[j]) {
      kept[0][i++] = kept[1][j++] = true;
    } else if (lengths[(i + 1) * width + j] >= lengths[i * width + j + 1]) {
      i++;
    } else {
      j++;
    }
  }
  return kept;
}

// Words with the space behind them, or lines where there are too many words to compare.
function pieces(one, other) {
  const words = [one, other].map((text) => text.match(/\s*\S+\s*?/g) ?? []);
  return words[0].length * words[1].length <= MOST_COMPARED ? words : [one, other].map((text) => text.match(/.*\n?/g));
}

function marked(parts, kept, tag) {
  const nodes = [];
  for (let start = 0; start < parts.length;) {
    let end = start;
    while (end < parts.length && kept[end] === kept[start]) end++;
    const text = parts.slice(start, end).join("");
    nodes.push(kept[start] ? text : element(tag, {}, text));
    start = end;
  }
  return nodes;
}

function side(title, verdict, told, nodes, longest) {
  const notes = [`${told.tokens} tokens`, verdict, told.truncated ? "truncated" : "", `answer ${told.extracted ?? "none"}`];
  const bar = element("meter", { min: 0, max: longest, value: told.tokens, "aria-label": `Tokens ${title}` });
  return element("section", { class: `answer ${title}` },
    element("header", {}, element("p", { class: "side" }, title), element("span", {}, notes.filter(Boolean).join(" · "))),
    bar, element("pre", { tabindex: 0, "aria-label": `${title} reasoning` }, ...nodes));
}

const VERDICTS = {
  "became wrong": ["correct", "wrong"], "became correct": ["wrong", "correct"],
  "correct both times": ["correct", "correct"], "wrong both times": ["wrong", "wrong"], "not judged": ["", ""],
};

function filled(told) {
  const texts = [told.before.text, told.after.text];
  const parts = pieces(...texts);
  const kept = form.marked.checked ? common(...parts.map((part) => part.map((piece) => piece.trim()))) : null;
  const nodes = kept ? [marked(parts[0], kept[0], "del"), marked(parts[1], kept[1], "ins")] : texts.map((text) => [text]);
  const longest = Math.max(told.before.tokens, told.after.tokens, 1);
  const verdicts = VERDICTS[told.change];
  return [
    element("p", { class: "quiet small" }, `Gold answer: ${told.gold}. ${told.model}, ${told.suite}. Problem `, element("code", {}, told.id), "."),
    element("div", { class: "pair" },
      side("before", verdicts[0], told.before, nodes[0], longest), side("after", verdicts[1], told.after, nodes[1], longest)),
  ];
}

function card(told) {
  const saved = `${told.before.tokens} → ${told.after.tokens} tokens`;
  const made = element("details", { class: "transcript", "data-change": told.change },
    element("summary", {}, element("span", { class: "question" }, told.question), " ",
      element("span", { class: "tag" }, told.change), " ", element("span", { class: "quiet" }, `${told.became}, ${saved}`)));
  made.addEventListener("toggle", () => {
    if (made.open && made.childElementCount === 1) made.append(...filled(told));
  });
  return made;
}

const ORDERS = {
  saved: (told) => told.after.tokens - told.before.tokens,
  longer: (told) => told.before.tokens - told.after.tokens,
  long: (told) => -told.before.tokens,
  drawn: () => 0,
};

function search() {
  const words = form.words.value.trim().toLowerCase();
  const wanted = (told) =>
    ["suite", "model", "change"].every((name) => !form[name].value || told[name] === form[name].value)
    && (!form.after.value || told.became === form.after.value)
    && (!words || [told.question, told.before.text, told.after.text].some((text) => text.toLowerCase().includes(words)));
  const key = ORDERS[form.order.value];
  found = transcripts.filter(wanted).sort((one, other) => key(one) - key(other));
  list.replaceChildren();
  showMore();
  document.getElementById("found").textContent = `${found.length} of ${transcripts.length} transcripts.`;
}

function showMore() {
  const shown = list.childElementCount;
  list.append(...found.slice(shown, shown + PAGE).map(card));
  more.hidden = list.childElementCount >= found.length;
}

function quoted(value) {
  return `"${String(value ?? "").replaceAll('"', '""')}"`;
}

function save() {
  const names = ["model", "suite", "before", "after", "problem_id", "question", "right_answer", "change"];
  const sides = ["tokens", "extracted", "text"];
  const header = [...names, ...sides.map((name) => `before_${name}`), ...sides.map((name) => `after_${name}`)];
  const lines = found.map((told) => [told.model, told.suite, told.was, told.became, told.id, told.question, told.gold,
    told.change, ...sides.map((name) => told.before[name]), ...sides.map((name) => told.after[name])].map(quoted).join(","));
  const file = new Blob([[header.join(","), ...lines].join("\n") + "\n"], { type: "text/csv" });
  const link = element("a", { href: URL.createObjectURL(file), download: "transcripts.csv" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function choices(name, values) {
  form[name].append(...[...new Set(values)].map((value) => element("option", { value }, value)));
  form[name].closest("label").hidden = form[name].options.length < 3;
}

async function explore() {
  transcripts = await unpacked();
  choices("suite", transcripts.map((told) => told.suite));
  choices("model", transcripts.map((told) => told.model));
  choices("after", transcripts.map((told) => told.became));
  choices("change", transcripts.map((told) => told.change));
  form.addEventListener("input", search);
  form.addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", showMore);
  document.getElementById("transcripts-csv").addEventListener("click", save);
  search();
  root.dataset.transcripts = "ready";
}

explore();
