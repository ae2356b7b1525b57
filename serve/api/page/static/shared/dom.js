// Elements. Text always becomes a text node, so no text is ever read as HTML.

const SVG = "http://www.w3.org/2000/svg";

const fill = (element, attributes, children) => {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null && child !== false));
  return element;
};

/** Return an HTML element. Attributes that begin with "on" are event listeners. */
export const el = (tag, attributes = {}, ...children) =>
  fill(document.createElement(tag), attributes, children);

/** Return an SVG element. */
export const svg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);

/** Set custom properties of CSS: the security policy forbids style attributes, not this. */
export const setVars = (element, vars) => {
  for (const [name, value] of Object.entries(vars)) element.style.setProperty(`--${name}`, value);
  return element;
};

/** Return the element with that id. */
export const byId = (id) => document.getElementById(id);

/** Open a dialog. It forgets the answer of the last time, which Esc would repeat. */
export const openDialog = (id) => {
  byId(id).returnValue = "";
  byId(id).showModal();
};

/** Copy a text. Returns false where the browser does not allow it. */
export const copy = async (text) => {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
};
