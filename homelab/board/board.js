"use strict";
// The server says that something changed; the page is fetched again and its main part replaced. Times grow old by themselves.
const refresh = async () => {
  const answer = await fetch("/", { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const focused = document.activeElement?.getAttribute?.("aria-labelledby");
  document.querySelector("main").replaceWith(document.adoptNode(page.querySelector("main")));
  document.title = page.title;
  if (focused) document.querySelector(`[tabindex][aria-labelledby="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
};
const changes = new EventSource("/events");
changes.addEventListener("changed", () => refresh().catch(() => {}));
setInterval(() => document.hidden || refresh().catch(() => {}), 30000);
