// Draws the texts it is given with textContent only. Which texts were revealed is kept per mount.
const memory = new WeakMap();

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function tint(projection) {
  // Orange towards toxicity, blue away from it; three sigmas are the full colour.
  const strength = Math.min(Math.abs(projection) / 3, 1) * 0.55;
  return projection > 0 ? `rgba(227,123,51,${strength})` : `rgba(47,116,208,${strength})`;
}

function fill(body, item) {
  if (item.prompt) body.append(element("span", "prompt", item.prompt + " "));
  if (item.tokens.length) {
    for (const token of item.tokens) {
      const piece = element("span", "token", token.text);
      if (token.projection !== null) {
        piece.style.backgroundColor = tint(token.projection);
        piece.title = `projection ${token.projection.toFixed(2)} sigma`;
      }
      body.append(piece);
    }
  } else if (item.text) {
    body.append(element("span", "text", item.text));
  } else {
    body.append(element("span", "wait", item.waiting || "(empty text)"));
  }
}

function card(item, index, state, redraw) {
  const box = element("div", "card");
  const head = element("div", "head");
  if (item.title) head.append(element("span", "title", item.title));
  if (item.meta) head.append(element("span", "meta", item.meta));
  if (head.childNodes.length) box.append(head);
  const body = element("div", "body");
  fill(body, item);
  // Revealed is remembered by place and first words, so a growing text stays revealed.
  const name = `${index}|${item.title}|${item.prompt.slice(0, 80)}`;
  const revealed = state.shown.has(name);
  if (item.blurred && !state.reveal) {
    box.classList.toggle("veiled", !revealed);
    body.setAttribute("aria-hidden", String(!revealed));
    const button = element("button", "", revealed ? "Blur again" : "Show text");
    button.type = "button";
    button.setAttribute("aria-pressed", String(revealed));
    button.onclick = () => {
      if (revealed) state.shown.delete(name);
      else state.shown.add(name);
      redraw(index);
    };
    box.append(body, button);
  } else {
    box.append(body);
  }
  return box;
}

export default function (component) {
  const { data, parentElement } = component;
  const root = parentElement.querySelector("#root");
  if (!root || !data) return;
  const state = memory.get(parentElement) ?? { shown: new Set(), reveal: false };
  state.reveal = Boolean(data.reveal);
  memory.set(parentElement, state);
  const draw = (focus) => {
    root.style.gridTemplateColumns =
      `repeat(auto-fit, minmax(min(100%, max(15rem, calc(100% / ${data.columns} - 1rem))), 1fr))`;
    root.replaceChildren(...data.items.map((item, index) => card(item, index, state, draw)));
    if (focus !== undefined) root.children[focus]?.querySelector("button")?.focus();
  };
  draw();
}
