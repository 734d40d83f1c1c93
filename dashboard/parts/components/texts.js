// Draws the texts it is given with textContent only. Which texts were revealed is kept per mount.
// A text that grows is added to, not drawn anew: a click or a scroll inside it survives.
const memory = new WeakMap();

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function tint(projection, full) {
  // Orange towards toxicity, blue away from it.
  const strength = Math.min(Math.abs(projection) / full, 1) * 0.55;
  return projection > 0 ? `rgba(227,123,51,${strength})` : `rgba(47,116,208,${strength})`;
}

function coloured(token, item) {
  const piece = element("span", "token", token.text);
  if (token.projection !== null) {
    piece.style.backgroundColor = tint(token.projection, item.full_colour);
    piece.title = item.token_words.replace("{}", token.projection.toFixed(2));
  }
  return piece;
}

function fill(body, item) {
  if (item.prompt) body.append(element("span", "prompt", item.prompt + " "));
  if (item.tokens.length) body.append(...item.tokens.map((token) => coloured(token, item)));
  else if (item.text) body.append(element("span", "text", item.text));
  else body.append(element("span", "wait", item.waiting || "(empty text)"));
}

function detailList(details) {
  const list = element("dl", "facts");
  for (const [label, value] of details) {
    const pair = element("div", "fact");
    pair.append(element("dt", "", label), element("dd", "", value));
    list.append(pair);
  }
  return list;
}

// Revealed is remembered by place and first words, so a growing text stays revealed.
function nameOf(item, index) {
  return item.identity || `${index}|${item.title}|${item.prompt.slice(0, 80)}`;
}

function card(item, index, state, redraw) {
  const box = element("div", item.bare ? "card bare" : "card");
  if (item.identity) box.dataset.identity = item.identity;
  const head = element("div", "head");
  if (item.title) head.append(element("span", "title", item.title));
  if (item.meta) head.append(element("span", "meta", item.meta));
  if (head.childNodes.length) box.append(head);
  const body = element("div", "body");
  fill(body, item);
  box.append(body);
  const name = nameOf(item, index);
  const revealed = state.shown.has(name);
  if (item.blurred && !state.reveal) {
    box.classList.toggle("veiled", !revealed);
    body.setAttribute("aria-hidden", String(!revealed));
    const button = element("button", "", revealed ? "Blur again" : "Show text");
    button.type = "button";
    button.setAttribute("aria-pressed", String(revealed));
    button.onclick = () => {
      if (state.shown.has(name)) state.shown.delete(name);
      else state.shown.add(name);
      redraw(index);
    };
    box.append(button);
  }
  if (item.details && item.details.length) box.append(detailList(item.details));
  if (item.more && item.more.length) {
    const fold = element("details", "more");
    fold.open = state.open;
    fold.ontoggle = () => (state.open = fold.open);
    fold.append(element("summary", "", "More"), detailList(item.more));
    box.append(fold);
  }
  return box;
}

// Everything of a card but the text that may have grown.
function frame(item, reveal, shown, index) {
  const { text, tokens, ...rest } = item;
  const kind = tokens.length ? "tokens" : text ? "text" : "none";
  return JSON.stringify([rest, kind, reveal, shown.has(nameOf(item, index))]);
}

// Adds what is new to a card on the page; false where it must be drawn anew.
function grow(box, old, item) {
  const body = box.querySelector(".body");
  if (item.tokens.length) {
    const same = old.tokens.every(
      (token, at) => token.text === item.tokens[at]?.text && token.projection === item.tokens[at]?.projection,
    );
    if (!same) return false;
    body.append(...item.tokens.slice(old.tokens.length).map((token) => coloured(token, item)));
  } else if (item.text !== old.text) {
    body.querySelector(".text").textContent = item.text;
  }
  return true;
}

export default function (component) {
  const { data, parentElement } = component;
  const root = parentElement.querySelector("#root");
  if (!root || !data) return;
  const state = memory.get(parentElement) ?? { shown: new Set(), reveal: false, open: false, drawn: [] };
  state.reveal = Boolean(data.reveal);
  memory.set(parentElement, state);
  const draw = (focus) => {
    // All columns where each has 15rem, else two (four texts stand two by two), else one.
    const all = `calc(100% / ${data.columns} - 1rem)`;
    const two = `min(calc(50% - 1rem), (${data.columns} * 15rem - 100%) * 999)`;
    root.style.gridTemplateColumns = `repeat(auto-fit, minmax(min(100%, max(15rem, ${all}, ${two})), 1fr))`;
    const kept = root.children.length === state.drawn.length ? state.drawn : [];
    state.drawn = data.items.map((item, index) => {
      const now = frame(item, state.reveal, state.shown, index);
      const old = kept[index];
      if (old && old.frame === now && root.children[index] === old.box && grow(old.box, old.item, item))
        return { box: old.box, frame: now, item };
      return { box: card(item, index, state, draw), frame: now, item };
    });
    state.drawn.forEach(({ box }, index) => {
      const there = root.children[index];
      if (there === box) return;
      if (there) there.replaceWith(box);
      else root.append(box);
    });
    while (root.children.length > state.drawn.length) root.lastChild.remove();
    root.dataset.state = data.state || "";
    if (focus !== undefined) root.children[focus]?.querySelector("button")?.focus();
  };
  draw();
}
