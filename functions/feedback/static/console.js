// The console's shortcuts and announcements. Every form works without them.
"use strict";

(() => {
  const SHORTCUTS = "moderato-shortcuts";
  const one = (selector) => document.querySelector(selector);
  const form = one("#answer");
  const help = one("#help");
  let isSending = false;

  document.documentElement.classList.add("has-script");

  function announce(words) {
    const live = one("#live");
    live.textContent = "";
    // Screen readers speak what changes: the same words again are no change.
    setTimeout(() => { live.textContent = words; }, 60);
  }

  function remember(isOn) {
    try { localStorage.setItem(SHORTCUTS, isOn ? "on" : "off"); } catch { /* storage is refused: on until the next page */ }
  }

  function areShortcutsOn() {
    try { return localStorage.getItem(SHORTCUTS) !== "off"; } catch { return true; }
  }

  function complain(words) {
    let problem = one("#problem");
    if (!problem) {
      problem = document.createElement("p");
      problem.id = "problem";
      problem.className = "problem";
      form.prepend(problem);
    }
    problem.textContent = words;
    announce(words);
  }

  function chosen() {
    return [...form.querySelectorAll(".choice input:checked")];
  }

  function toggle(box) {
    if (!box) return;
    box.click();
    const name = box.labels[0].querySelector("span").textContent;
    announce(`${name} ${box.checked ? "chosen" : "dropped"}`);
  }

  function submit(value) {
    const button = value ? form.querySelector(`button[value="${value}"]`) : form.querySelector("button.primary");
    if (button) form.requestSubmit(button);
  }

  function goOn() {
    if (form && form.querySelector("button.primary")) submit();
    else one("#next")?.click();
  }

  function openHelp() {
    one("#shortcuts").checked = areShortcutsOn();
    help.showModal();
  }

  function digitOf(event) {
    if (/^[1-9]$/.test(event.key)) return event.key;
    // Where digits need the shift key, as on French keyboards, the key counts.
    const typed = /^Digit([1-9])$/.exec(event.code);
    return typed && !event.shiftKey ? typed[1] : null;
  }

  const keys = {
    "/": () => one("#search").focus(),
    "?": openHelp,
    n: () => toggle(one("#none")),
    s: () => form && submit("skip"),
    u: () => one("#undo")?.requestSubmit(),
  };

  function onKey(event) {
    const target = event.target;
    const isTyping = target.matches("textarea, select, input:not([type=checkbox])");
    if (event.isComposing || event.repeat || target.closest("dialog")) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && form?.contains(target)) return goOn();
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (isTyping) return event.key === "Escape" ? target.blur() : undefined;
    if (event.key === "Enter") {
      const other = target.closest("form");
      if (target.closest("a, button, summary") || (other && other !== form) || !(form || one("#next"))) return;
      event.preventDefault();
      return goOn();
    }
    const digit = digitOf(event);
    const act = keys[event.key] || (digit && form ? () => toggle(one(`#label-${digit}`)) : null);
    if (!act || (!areShortcutsOn() && event.key !== "?")) return;
    event.preventDefault();
    act();
  }

  function onChange(event) {
    if (event.target.id === "shortcuts") remember(event.target.checked);
    if (!event.target.checked || !form?.contains(event.target)) return;
    // None of these, or some of them.
    if (event.target.id === "none") for (const box of form.querySelectorAll("input[name=label]")) box.checked = false;
    else if (event.target.name === "label" && one("#none")) one("#none").checked = false;
  }

  function onSubmit(event) {
    if (event.target.method === "dialog") return;
    if (isSending) return event.preventDefault();
    const isAnswer = event.target === form && one("#none") && event.submitter?.value !== "skip";
    if (isAnswer && chosen().length === 0) {
      event.preventDefault();
      return complain("Choose at least one category, or “none of these”.");
    }
    isSending = true;
  }

  document.addEventListener("keydown", onKey);
  document.addEventListener("change", onChange);
  document.addEventListener("submit", onSubmit);
  // The page comes back as it was left when somebody goes back in their history.
  window.addEventListener("pageshow", () => { isSending = false; });
  one("[data-help]")?.addEventListener("click", openHelp);
  one(".note")?.addEventListener("toggle", (event) => { if (event.target.open) one("#note").focus(); });

  const notice = one(".notice");
  const isReading = Boolean(form && one("#text"));
  if (notice || isReading) announce([notice?.textContent.trim(), isReading ? "A text is ready." : ""].filter(Boolean).join(" "));
  if (isReading && !one("#problem")) one("#text").focus({ preventScroll: true });
  // A reload does not say again what happened.
  if (notice) {
    const address = new URL(location.href);
    for (const name of ["notice", "last"]) address.searchParams.delete(name);
    history.replaceState(null, "", address);
  }
})();
