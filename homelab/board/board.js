"use strict";
// The server says that something changed; the page is fetched again and its main part replaced. Times grow old by themselves.
const refresh = async () => {
  const answer = await fetch("/", { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  // What somebody has opened stays open, and where the keyboard is it stays.
  const open = document.querySelector("details")?.open;
  const focused = document.activeElement?.closest?.("[tabindex], summary, a")?.cloneNode();
  document.querySelector("main").replaceWith(document.adoptNode(page.querySelector("main")));
  document.title = page.title;
  if (open) document.querySelector("details")?.setAttribute("open", "");
  const same = focused && [...document.querySelectorAll(focused.localName)].find((one) => one.cloneNode().isEqualNode(focused));
  same?.focus({ preventScroll: true });
};
const changes = new EventSource("/events");
changes.addEventListener("changed", () => refresh().catch(() => {}));
setInterval(() => document.hidden || refresh().catch(() => {}), 30000);
