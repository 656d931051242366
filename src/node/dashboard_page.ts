/**
 * What a browser gets of the dashboard: one page, its style and its script. Nothing in it comes from elsewhere, and text that nodes
 * send is only ever text.
 *
 * @module
 */

/** The page. */
export const DASHBOARD_HTML = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>quorate</title>
<link rel="stylesheet" href="/dashboard.css">
<link rel="icon" href="data:,">
</head>
<body>
<a class="skip" href="#main">Skip to content</a>
<header>
  <h1><span id="party">node</span> <small id="cluster"></small></h1>
  <p id="state" role="status" aria-live="polite">connecting</p>
  <nav aria-label="Sections">
    <a href="#links">Links</a> <a href="#keys">Keys</a> <a href="#sessions">Sessions</a> <a href="#votes">Votes</a>
    <a href="#evidence">Evidence</a> <a href="#reputation">Reputation</a> <a href="#audit">Audit</a>
    <a href="#certificates">Certificates</a>
  </nav>
</header>
<main id="main" tabindex="-1">
  <section aria-labelledby="reasons-title" id="reasons-section" hidden>
    <h2 id="reasons-title">Not ready</h2><ul id="reasons"></ul>
  </section>
  <section id="links" aria-labelledby="links-title">
    <h2 id="links-title">Links</h2>
    <p>Each row is what that node says of its links: what arrives from the column, and what reaches it.</p>
    <div class="wide" tabindex="0" role="region" aria-label="Matrix of links"><table id="matrix"></table></div>
  </section>
  <section id="keys" aria-labelledby="keys-title"><h2 id="keys-title">Keys</h2>
    <div class="wide" tabindex="0" role="region" aria-label="Keys"><table id="keys-table"></table></div></section>
  <section id="sessions" aria-labelledby="sessions-title"><h2 id="sessions-title">Sessions</h2>
    <div class="wide" tabindex="0" role="region" aria-label="Sessions"><table id="sessions-table"></table></div></section>
  <section id="votes" aria-labelledby="votes-title"><h2 id="votes-title">Votes</h2>
    <div class="wide" tabindex="0" role="region" aria-label="Transactions"><table id="votes-table"></table></div></section>
  <section id="evidence" aria-labelledby="evidence-title"><h2 id="evidence-title">Evidence</h2>
    <div class="wide" tabindex="0" role="region" aria-label="Offences"><table id="evidence-table"></table></div></section>
  <section id="reputation" aria-labelledby="reputation-title"><h2 id="reputation-title">Reputation</h2>
    <div class="wide" tabindex="0" role="region" aria-label="Scores"><table id="reputation-table"></table></div></section>
  <section id="audit" aria-labelledby="audit-title"><h2 id="audit-title">Audit log</h2>
    <dl id="audit-list"></dl></section>
  <section id="certificates" aria-labelledby="certificates-title"><h2 id="certificates-title">Certificates</h2>
    <div class="wide" tabindex="0" role="region" aria-label="Certificates"><table id="certificates-table"></table></div></section>
</main>
<footer><p>The view of this node. It can be looked at, and does nothing.</p></footer>
<noscript><p>This page needs JavaScript; <code>quorate status</code> and <code>quorate monitor</code> show the same.</p></noscript>
<script src="/dashboard.js"></script>
</body>
</html>
`;

/** Its style. */
export const DASHBOARD_CSS = `
:root { color-scheme: light dark; --line: #8886; --good: #1a7f37; --bad: #b3261e; --dim: #666; --back: #fff; --text: #111; }
@media (prefers-color-scheme: dark) { :root { --good: #56d364; --bad: #ff7b72; --dim: #9a9a9a; --back: #111; --text: #eee; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 0 1rem 2rem; background: var(--back); color: var(--text);
  font: 1rem/1.45 system-ui, sans-serif; }
h1 { margin: 1rem 0 0; font-size: 1.4rem; } h1 small { color: var(--dim); font-weight: normal; }
h2 { margin: 1.5rem 0 .4rem; font-size: 1.1rem; }
#state { margin: .2rem 0; }
nav a { display: inline-block; padding: .25rem .4rem .25rem 0; }
a { color: inherit; }
a:focus-visible, [tabindex]:focus-visible { outline: 3px solid #4493f8; outline-offset: 2px; }
.skip { position: absolute; left: -999rem; } .skip:focus { left: 1rem; top: .5rem; background: var(--back); padding: .5rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; min-width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--dim); }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .7rem .3rem 0; text-align: left; vertical-align: top; white-space: nowrap; }
td.text { white-space: normal; overflow-wrap: anywhere; min-width: 12rem; }
.good { color: var(--good); } .bad { color: var(--bad); font-weight: 600; } .dim { color: var(--dim); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: 0; } dd { margin: 0; overflow-wrap: anywhere; }
svg { vertical-align: middle; }
footer { margin-top: 2rem; color: var(--dim); }
@media (max-width: 40rem) { body { padding: 0 .6rem 2rem; font-size: .95rem; } dl { grid-template-columns: 1fr; } dd { margin-bottom: .4rem; } }
@media (prefers-reduced-motion: no-preference) { html { scroll-behavior: smooth; } }
`;

/** Its script. */
export const DASHBOARD_JS = `"use strict";
const at = (id) => document.getElementById(id);
const ask = async (path) => {
  const response = await fetch(path, { headers: { accept: "application/json" } });
  if (response.status === 404) return undefined;
  if (!response.ok) throw new Error("the node answers " + response.status);
  return await response.json();
};
/* Text, and what it is like: good, bad, dim, or text that may be long. */
const cell = (text, kind) => ({ text: String(text), kind });
const good = (text) => cell(text, "good");
const bad = (text) => cell(text, "bad");
const dim = (text) => cell(text, "dim");
const made = (name, content, kind) => {
  const element = document.createElement(name);
  if (kind !== undefined) element.className = kind;
  if (content instanceof Node) element.append(content);
  else if (content !== undefined) element.textContent = content;
  return element;
};
const fill = (id, head, rows, empty) => {
  const table = at(id);
  const top = made("thead");
  const line = made("tr");
  for (const text of head) {
    const th = made("th", text);
    th.scope = "col";
    line.append(th);
  }
  top.append(line);
  const body = made("tbody");
  for (const row of rows) {
    const tr = made("tr");
    row.forEach((value, i) => {
      const content = value instanceof Node ? value : value !== null && typeof value === "object" ? value.text : value;
      const kind = value instanceof Node || value === null || typeof value !== "object" ? undefined : value.kind;
      const td = made(i === 0 ? "th" : "td", content, kind);
      if (i === 0) td.scope = "row";
      tr.append(td);
    });
    body.append(tr);
  }
  table.replaceChildren(...rows.length === 0 ? [made("caption", empty)] : [top, body]);
};
const direction = (state) => made("span", state === "down" ? "DOWN" : state, { up: "good", down: "bad" }[state] ?? "dim");
const milliseconds = (value) => value === null ? "-" : value.toFixed(1) + " ms";
const showLinks = async () => {
  const [{ views }, status, info] = await Promise.all([ask("/v1/matrix"), ask("/v1/status"), ask("/v1/info")]);
  const names = info.parties.map(({ name }) => name);
  at("party").textContent = status.party;
  at("cluster").textContent = status.cluster + ", version " + status.version;
  document.title = status.party + (status.ready ? "" : " NOT READY") + " - quorate";
  at("state").textContent = (status.ready ? "ready" : "not ready") + ", " + status.reachable.length + " of " + status.parties +
    " parties can be reached" + (status.unreachable.length === 0 ? "" : ", not " + status.unreachable.join(", "));
  at("state").className = status.ready ? "good" : "bad";
  at("reasons-section").hidden = status.reasons.length === 0;
  at("reasons").replaceChildren(...status.reasons.map(({ text }) => made("li", text)));
  fill("matrix", ["node", ...names], names.map((row) => {
    const view = views.find(({ name }) => name === row);
    return [row, ...names.map((column) => {
      if (row === column) return dim("-");
      const link = view?.links.find(({ name }) => name === column);
      if (link === undefined) return dim("not known");
      const box = made("span");
      box.append(
        made("span", "in "), direction(link.in), made("span", " out "), direction(link.out),
        made("span", " " + milliseconds(link.rttMs) + ", " + link.flaps + " flaps", "dim"),
      );
      return box;
    })];
  }), "no parties");
  fill("keys-table", ["key", "epoch", "scheme", "reachable", "quorum", "backup", "policy"], status.keys.map((key) => [
    key.key, key.epoch, key.scheme ?? key.curve, key.reachable.length + "/" + key.members.length,
    key.margin < 0 ? bad(-key.margin + " missing") : good(key.margin + " may fail"),
    key.backup === undefined ? bad("none") : key.backup.epoch === key.epoch ? good("of this epoch") : bad("of epoch " + key.backup.epoch),
    cell(key.policy, "text"),
  ]), "no keys");
  const { audit } = info;
  const pairs = [["records", audit.size], ["signed up to", audit.signed], ["cosigned by witnesses up to", audit.cosigned],
    ["waiting", audit.waiting], ["fault", audit.failure ?? "none"]];
  at("audit-list").replaceChildren(...pairs.flatMap(([name, value]) => [made("dt", name), made("dd", String(value))]));
  const now = Date.now();
  fill("certificates-table", ["certificate or list", "ends", "days left"], info.expiries.map(({ subject, at: end }) => {
    const days = Math.floor((Date.parse(end) - now) / 86400000);
    return [subject, end, days < 14 ? bad(days) : good(days)];
  }), "none");
};
const showSessions = async () => {
  const { active, recent } = await ask("/v1/sessions");
  const rows = [...active.map((one) => [one, true]), ...recent.slice(0, 10).map((one) => [one, false])];
  fill("sessions-table", ["protocol", "key", "session", "round", "waits for", "state"], rows.map(([one, isActive]) => [
    one.protocol, one.key ?? "-", one.session ?? "-",
    one.round + "/" + one.rounds + " " + one.roundName,
    isActive ? one.waitingFor.join(", ") || "-" : "-",
    isActive ? cell("runs") : one.state === "done" ? good("done") : bad(one.error === undefined ? one.state : one.error.code),
  ]), "no session runs");
};
const showVotes = async () => {
  const answer = await ask("/v1/voting/transactions");
  for (const id of ["votes", "evidence", "reputation"]) at(id).hidden = answer === undefined;
  if (answer === undefined) return;
  const [{ offences }, { members, history }] = await Promise.all([ask("/v1/voting/evidence"), ask("/v1/voting/reputation")]);
  fill("votes-table", ["transaction", "state", "votes", "no vote of", "signature"], answer.transactions.toReversed().map((tx) => [
    tx.txId,
    tx.state === "decided" ? good("decided: " + tx.value) : tx.state === "violated" ? bad("VIOLATED") : cell(tx.state),
    cell(tx.tally.map(({ value, voters }) => voters.length + "/" + tx.quorum + " for " + value + " (" + voters.join(", ") + ")").join("; "), "text"),
    tx.missing.join(", ") || "-",
    tx.signing === null ? "-" : tx.signing.outcome === "signed" ? good("signed") : cell(tx.signing.outcome),
  ]), "no transactions");
  fill("evidence-table", ["member", "offence", "transaction", "evidence", "stored"], offences.map((one) => [
    bad(one.subject), one.kind, one.txId || "-", one.id.slice(0, 16), one.time,
  ]), "nobody has done anything");
  fill("reputation-table", ["member", "score", "last 24 hours", "voted", "silent in"], members.map((member, i) => [
    member.name, member.score < 50 ? bad(member.score.toFixed(1)) : good(member.score.toFixed(1)),
    line(history.map(({ scores }) => scores[i])),
    member.availability === null ? "-" : Math.round(member.availability * 100) + " %", member.silent,
  ]), "no members");
};
const line = (values) => {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const width = 120;
  const height = 24;
  svg.setAttribute("width", width);
  svg.setAttribute("height", height);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", "from " + values[0].toFixed(0) + " to " + values.at(-1).toFixed(0));
  const path = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  path.setAttribute("points", values.map((value, i) =>
    (i * width / Math.max(1, values.length - 1)).toFixed(1) + "," + (height - 2 - value / 100 * (height - 4)).toFixed(1)).join(" "));
  path.setAttribute("fill", "none");
  path.setAttribute("stroke", "currentColor");
  path.setAttribute("stroke-width", "1.5");
  svg.append(path);
  return svg;
};
const SHOW = { links: showLinks, sessions: showSessions, votes: showVotes };
const running = new Map();
/* One question of a kind at a time; what changes meanwhile is asked for again. */
const show = (topic) => {
  if (running.has(topic)) return void running.set(topic, true);
  running.set(topic, false);
  SHOW[topic]().catch((error) => {
    at("state").textContent = "the node does not answer: " + error.message;
    at("state").className = "bad";
  }).finally(() => {
    const again = running.get(topic);
    running.delete(topic);
    if (again) show(topic);
  });
};
const events = new EventSource("/v1/events");
events.onmessage = ({ data }) => {
  const message = JSON.parse(data);
  if (message.event === "data") for (const topic of message.data.topics) if (topic in SHOW) show(topic);
};
events.onerror = () => {
  at("state").textContent = "the connection to the node is lost: it is tried again";
  at("state").className = "bad";
};
for (const topic of Object.keys(SHOW)) show(topic);
`;
