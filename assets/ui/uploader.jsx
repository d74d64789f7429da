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
  if (entry.isFile) return [await new Promise((yes, no) => entry.file(yes, no))];
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((yes, no) => reader.readEntries(yes, no));
    if (!some.length) return found;
    for (const each of some) found.push(...await walk(each));
  }
}

function refusal(xhr) {
  let body = null;
  try { body = JSON.parse(xhr.responseText); } catch { /* not JSON */ }
  const item = body?.items?.[0] ?? body?.error?.details?.items?.[0];
  if (xhr.status === 202 && !item?.error) return { why: "", duplicate: Boolean(item?.duplicate) };
  return { why: item?.error?.message ?? body?.error?.message ?? `The server answered ${xhr.status}.` };
}

function send(file, url, progress) {
  return new Promise((done) => {
    const xhr = new XMLHttpRequest();
    const form = new FormData();
    form.append("files", file, file.name);
    xhr.upload.onprogress = (event) => event.lengthComputable && progress(event.loaded / event.total);
    xhr.onload = () => done(refusal(xhr));
    xhr.onerror = () => done({ why: "The connection broke; choose the file again." });
    xhr.open("POST", url);
    xhr.send(form);
  });
}

export function Uploader({ url, maxMb = 100, accept = "", onAdded, children }) {
  const [rows, setRows] = useState([]);
  const [over, setOver] = useState(false);
  const [unfolded, setUnfolded] = useState(false);
  const queue = useRef([]);
  const running = useRef(0);
  const serial = useRef(0);
  const depth = useRef(0);

  const patch = (id, change) => setRows((all) => all.map((row) => (row.id === id ? { ...row, ...change } : row)));
  const pump = () => {
    while (running.current < AT_ONCE && queue.current.length) {
      const { id, file } = queue.current.shift();
      running.current += 1;
      patch(id, { state: "sending" });
      send(file, url, (part) => patch(id, { part })).then(({ why, duplicate }) => {
        patch(id, { state: why ? "refused" : duplicate ? "known" : "sent", why, part: 1 });
        running.current -= 1;
        if (!why) onAdded?.(id);
        pump();
      });
    }
  };
  const add = (files) => {
    const fresh = [...files].map((file) => ({ id: (serial.current += 1), file }));
    const fits = fresh.filter(({ file }) => file.size <= maxMb * 1000000);
    queue.current.push(...fits);
    setUnfolded(false);
    setRows((all) => [...fresh.map(({ id, file }) => ({
      id, name: file.webkitRelativePath || file.name, part: 0,
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
  const said = [[tally("sent"), "added"], [tally("known"), "already there"], [refused, "refused"]]
    .filter(([number]) => number).map(([number, word]) => `${number} ${word}`).join(", ");
  const sorted = [...rows].sort((one, other) => (other.state === "refused") - (one.state === "refused"));
  const folds = !open && rows.length > FOLDED;
  const shown = folds && !unfolded ? sorted.slice(0, Math.min(refused, MOST_REFUSED)) : sorted;
  const words = { waiting: "queued", sending: "", sent: "added", known: "already there", refused: "refused" };
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
              </li>
            ))}
          </ul>}
        </>
      )}
    </div>
  );
}
