// The command palette: ⌘K or Ctrl-K opens it, arrows choose, Enter goes there.
import { useEffect, useRef, useState } from "react";

export function Palette({ results = [], onSearch, onPick }) {
  const box = useRef(null);
  const wait = useRef(0);
  const [open, setOpen] = useState(false);
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  useEffect(() => {
    const show = () => { setText(""); setAt(0); setOpen(true); onSearch?.(""); };
    const press = (event) => {
      if ((event.metaKey || event.ctrlKey) && event.key.toLowerCase() === "k") { event.preventDefault(); show(); }
    };
    addEventListener("keydown", press);
    addEventListener("open-palette", show);
    return () => { removeEventListener("keydown", press); removeEventListener("open-palette", show); };
  }, [onSearch]);
  useEffect(() => {
    if (open) box.current?.showModal();
    else if (box.current?.open) box.current.close();
  }, [open]);
  const pick = (item) => { if (item) { setOpen(false); onPick?.(item.href); } };
  const type = (value) => {
    setText(value);
    setAt(0);
    clearTimeout(wait.current);
    wait.current = setTimeout(() => onSearch?.(value), 120);
  };
  const press = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && results.length) { event.preventDefault(); setAt((at + step + results.length) % results.length); }
    if (event.key === "Enter") { event.preventDefault(); pick(results[at]); }
  };
  return (
    <dialog ref={box} className="modal palette" aria-label="Go to" onCancel={() => setOpen(false)} onClose={() => setOpen(false)}
      onClick={(event) => { if (event.target === box.current) setOpen(false); }}>
      {open && (
        <>
          <input className="input" autoFocus role="combobox" aria-expanded="true" aria-controls="palette-list" aria-label="Go to"
            aria-activedescendant={results[at] ? `palette-${at}` : undefined} placeholder="Go to a bot, knowledge base, document, setting…"
            value={text} onChange={(event) => type(event.target.value)} onKeyDown={press} />
          <ul id="palette-list" role="listbox" aria-label="Results">
            {results.map((item, i) => (
              <li key={item.href + item.title} id={`palette-${i}`} role="option" aria-selected={i === at}
                onMouseMove={() => setAt(i)} onClick={() => pick(item)}>
                <span className="cut">{item.title}</span><span className="small muted nowrap">{item.kind}</span>
              </li>
            ))}
            {!results.length && <li aria-disabled="true" className="muted">Nothing found for “{text}”.</li>}
          </ul>
        </>
      )}
    </dialog>
  );
}

export function PaletteButton({ children }) {
  const [keys, setKeys] = useState("Ctrl K");
  useEffect(() => { if (/^(Mac|iP)/.test(navigator.platform)) setKeys("⌘K"); }, []);
  return (
    <button type="button" className="nav-link only-wide" onClick={() => dispatchEvent(new Event("open-palette"))}>
      {children}<kbd>{keys}</kbd>
    </button>
  );
}
