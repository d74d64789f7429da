// Sends files (many, whole folders, dropped or chosen) to a knowledge base, three at a time, with a bar for each.
import { useEffect, useRef, useState } from "react";

const AT_ONCE = 3;
const SHOWN = 200;
const FOLDED = 4;
const MOST_REFUSED = 8;

async function entriesOf(item) {
  const entry = item.webkitGetAsEntry?.();
  if (!entry) { const file = item.getAsFile?.(); return file ? [file] : []; }
  return walk(entry);
}

async function walk(entry) {
  if (entry.name.startsWith(".")) return [];
  if (entry.isFile) {
    const file = await new Promise((yes, no) => entry.file(yes, no));
    const path = entry.fullPath.replace(/^\/+/, "");
    if (path.includes("/")) file.placed = path;
    return [file];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((yes, no) => reader.readEntries(yes, no));
    if (!some.length) return found;
    for (const each of some) found.push(...await walk(each));
  }
}

function outcome(xhr) {
  let body = null;
  try { body = JSON.parse(xhr.responseText); } catch { /* not JSON */ }
  const item = body?.items?.[0] ?? body?.error?.details?.items?.[0] ?? (xhr.status === 202 ? body : null);
  if (xhr.status === 202 && !item?.error) return { why: "", duplicate: Boolean(item?.duplicate) };
  const error = item?.error ?? body?.error;
  if (error?.code === "same_name") return { why: "", other: { id: item.id, title: item.title } };
  return { why: error?.message ?? `The server answered ${xhr.status}.`, code: error?.code };
}

const pathOf = (file) => file.webkitRelativePath || file.placed || "";

function send(file, url, fields, progress) {
  return new Promise((done) => {
    const xhr = new XMLHttpRequest();
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) form.append(name, value);
    form.append("files", file, file.name);
    xhr.upload.onprogress = (event) => event.lengthComputable && progress(event.loaded / event.total);
    xhr.onload = () => done(outcome(xhr));
    xhr.onerror = () => done({ why: "The connection broke; choose the file again." });
    xhr.open("POST", url);
    xhr.send(form);
  });
}

export function Uploader({ url, maxMb = 100, accept = "", formats = "", onAdded, children }) {
  const [rows, setRows] = useState([]);
  const [over, setOver] = useState(false);
  const [unfolded, setUnfolded] = useState(false);
  const queue = useRef([]);
  const running = useRef(0);
  const serial = useRef(0);
  const depth = useRef(0);
  const held = useRef(new Map());

  const patch = (id, change) => setRows((all) => all.map((row) => (row.id === id ? { ...row, ...change } : row)));
  const pump = () => {
    while (running.current < AT_ONCE && queue.current.length) {
      const { id, file, to, fields } = queue.current.shift();
      running.current += 1;
      patch(id, { state: "sending" });
      // A file of a folder is known by its path; any other one that is there under its name is asked about.
      const said = fields ?? (pathOf(file) ? { path: pathOf(file) } : { same_name: "ask" });
      send(file, to ?? url, said, (part) => patch(id, { part })).then(({ why, code, duplicate, other }) => {
        const ended = to ? "renewed" : "sent";
        patch(id, { state: other ? "asked" : why ? "refused" : duplicate ? "known" : ended, why, code, other, part: 1 });
        if (other) held.current.set(id, file);
        running.current -= 1;
        if (!why && !other) onAdded?.(id);
        pump();
      });
    }
  };
  const decide = (asked, renew) => {
    for (const { id, other } of asked) {
      const file = held.current.get(id);
      held.current.delete(id);
      if (!file) continue;
      patch(id, { state: "waiting", other: null, part: 0 });
      queue.current.push(renew ? { id, file, to: `/api/v1/documents/${other.id}/versions`, fields: {} }
        : { id, file, fields: { same_name: "keep" } });
    }
    pump();
  };
  const add = (files) => {
    const fresh = [...files].map((file) => ({ id: (serial.current += 1), file }));
    const fits = fresh.filter(({ file }) => file.size <= maxMb * 1000000);
    queue.current.push(...fits);
    setUnfolded(false);
    setRows((all) => [...fresh.map(({ id, file }) => ({
      id, name: pathOf(file) || file.name, part: 0,
      state: file.size <= maxMb * 1000000 ? "waiting" : "refused",
      why: file.size <= maxMb * 1000000 ? "" : `Larger than ${maxMb} MB.`,
    })), ...all].slice(0, SHOWN));
    pump();
  };
  const drop = async (event) => {
    event.preventDefault();
    depth.current = 0;
    setOver(false);
    const items = [...event.dataTransfer.items].filter((item) => item.kind === "file");
    const lists = await Promise.all(items.map(entriesOf));
    add(lists.flat());
  };
  const drag = (step) => (event) => {
    event.preventDefault();
    depth.current = Math.max(0, depth.current + step);
    setOver(depth.current > 0);
  };
  useEffect(() => {
    const warn = (event) => { if (running.current) event.preventDefault(); };
    const keep = (event) => event.preventDefault();
    addEventListener("beforeunload", warn);
    addEventListener("dragover", keep);
    addEventListener("drop", keep);
    return () => {
      removeEventListener("beforeunload", warn);
      removeEventListener("dragover", keep);
      removeEventListener("drop", keep);
    };
  }, []);

  const choose = (folder) => {
    const input = document.createElement("input");
    input.type = "file";
    input.multiple = true;
    if (folder) input.webkitdirectory = true;
    else input.accept = accept;
    input.onchange = () => add([...input.files].filter((file) => !file.name.startsWith(".")));
    input.click();
  };
  const tally = (...states) => rows.filter((row) => states.includes(row.state)).length;
  const open = tally("waiting", "sending");
  const refused = tally("refused");
  const asked = rows.filter((row) => row.state === "asked");
  const unread = rows.some((row) => row.code === "unsupported_type");
  const said = [[tally("sent"), "added"], [tally("renewed"), "as a new version"], [tally("known"), "already there"],
    [asked.length, "to decide"], [refused, "refused"]]
    .filter(([number]) => number).map(([number, word]) => `${number} ${word}`).join(", ");
  const rank = { asked: 0, refused: 1 };
  const sorted = [...rows].sort((one, other) => (rank[one.state] ?? 2) - (rank[other.state] ?? 2));
  const folds = !open && rows.length > FOLDED;
  const shown = folds && !unfolded ? sorted.slice(0, asked.length + Math.min(refused, MOST_REFUSED)) : sorted;
  const words = { waiting: "queued", sending: "", sent: "added", renewed: "new version", known: "already there",
    asked: "to decide", refused: "refused" };
  return (
    <div className="stack tight">
      <div className={over ? "drop over" : "drop"} onDragEnter={drag(1)} onDragLeave={drag(-1)}
        onDragOver={(event) => event.preventDefault()} onDrop={drop}>
        <div>
          <strong>Drop files or folders here</strong>
          <div className="hint">PDF, Office, web pages, Markdown, e-mail, archives and more · up to {maxMb} MB each</div>
        </div>
        <div className="row wrap">
          <button type="button" className="btn primary" onClick={() => choose(false)}>Choose files</button>
          <button type="button" className="btn" onClick={() => choose(true)}>Choose a folder</button>
          {children}
        </div>
      </div>
      {rows.length > 0 && (
        <>
          <div className="row spread">
            <span className={refused ? "small wrong" : "small muted"} role="status">
              {open ? `${open} still to upload${refused ? `, ${refused} refused` : ""}` : said}
            </span>
            <span className="row">
              {folds && (
                <button type="button" className="btn plain mini" aria-expanded={unfolded}
                  onClick={() => setUnfolded(!unfolded)}>{unfolded ? "Show fewer" : `Show all ${rows.length}`}</button>
              )}
              {!open && <button type="button" className="btn plain mini" onClick={() => setRows([])}>Clear list</button>}
            </span>
          </div>
          {asked.length > 1 && <div className="row wrap">
            <span className="small">{asked.length} files are there already under the same name, with another content.</span>
            <button type="button" className="btn mini" onClick={() => decide(asked, true)}>New versions of all</button>
            <button type="button" className="btn mini" onClick={() => decide(asked, false)}>Keep all</button>
          </div>}
          {unread && formats && <p className="small muted">These can be read: {formats}.</p>}
          {shown.length > 0 && <ul className="uploads" aria-label="Uploads">
            {shown.map((row) => (
              <li key={row.id}>
                <span className="cut" title={row.name}>{row.name}</span>
                <span className={row.why ? "bar bad" : "bar"} role="progressbar" aria-label={`Upload of ${row.name}`}
                  aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(row.part * 100)}>
                  <i style={{ width: `${row.part * 100}%` }} />
                </span>
                <span className="num small muted">{words[row.state] || `${Math.round(row.part * 100)} %`}</span>
                {row.why && <span className="why small">{row.why}</span>}
                {row.other && <span className="ask small row wrap">
                  <span>There is a {row.name} already, with another content
                    {row.other.title !== row.name && `: “${row.other.title}”`}.</span>
                  <button type="button" className="btn mini" onClick={() => decide([row], true)}>New version of it</button>
                  <button type="button" className="btn mini" onClick={() => decide([row], false)}>Keep both</button>
                </span>}
              </li>
            ))}
          </ul>}
        </>
      )}
    </div>
  );
}

export function VersionUploader({ url, maxMb = 100, accept = "", onAdded }) {
  const [part, setPart] = useState(null);
  const [problem, setProblem] = useState("");
  const [said, setSaid] = useState("");
  const busy = part !== null;
  const take = (file) => {
    if (!file) return;
    setSaid("");
    setProblem("");
    if (file.size > maxMb * 1000000) { setProblem(`Larger than ${maxMb} MB.`); return; }
    setPart(0);
    send(file, url, {}, setPart).then(({ why, duplicate }) => {
      setPart(null);
      setProblem(why);
      if (why) return;
      setSaid(duplicate ? "This is what the newest version holds already." : "Taken; it is in use once it has been read.");
      onAdded?.(0);
    });
  };
  const choose = () => {
    const input = document.createElement("input");
    input.type = "file";
    input.accept = accept;
    input.onchange = () => take(input.files[0]);
    input.click();
  };
  return (
    <span className="row wrap">
      <button type="button" className="btn" onClick={choose} disabled={busy}>
        {busy ? `Uploading ${Math.round(part * 100)} %` : "Upload a new version"}
      </button>
      <span role="status" className={problem ? "small wrong" : "small muted"}>{problem || said}</span>
    </span>
  );
}
