// A passage in which words are marked, with the mouse or with Shift and the arrow keys; a form gets the words and their
// place. What was selected on the page before the button was pressed is marked already.
import { useEffect, useRef, useState } from "react";

const LONGEST_SHOWN = 160;
let chosen = "";

// A press on a button may end the selection, so it is looked at first.
function remember(event) {
  const card = event.target.closest?.(".cutting");
  const selection = document.getSelection();
  const words = selection?.toString() ?? "";
  const inside = card && words.trim() && card.contains(selection.anchorNode) && card.contains(selection.focusNode);
  if (inside) chosen = words;
  else if (event.type === "pointerdown" || !card) chosen = "";
}

if (typeof document !== "undefined") {
  document.addEventListener("pointerdown", remember, true);
  document.addEventListener("click", remember, true);
}

function placeOf(words, text) {
  const pieces = words.split(/\s+/).filter(Boolean).map((piece) => piece.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const found = pieces.length ? [...text.matchAll(new RegExp(pieces.join("\\s+"), "g"))] : [];
  return found.length === 1 ? [found[0].index, found[0].index + found[0][0].length] : null;
}

const counted = (text) => [...text].length; // as the server counts: one for each character, however it is coded

export function Marking({ text = "", label = "", hint = "", editable = false, rows = 8, nothing = "", some = "" }) {
  const area = useRef(null);
  const body = text.replace(/\r\n?/g, "\n"); // as the field has it
  const [span, setSpan] = useState([0, 0]);
  useEffect(() => {
    const box = area.current;
    const [start, end] = placeOf(chosen, body) ?? [0, 0];
    chosen = "";
    box.setSelectionRange(start, end);
    setSpan([start, end]);
    if (!start) return;
    const share = start / Math.max(1, body.length);
    box.scrollTop = Math.max(0, share * box.scrollHeight - box.clientHeight / 2);
  }, []);
  // In a field that is read-only the arrow keys would move no cursor, so it only takes no input.
  useEffect(() => {
    const box = area.current;
    if (editable) return undefined;
    const refuse = (event) => { if (event.cancelable) event.preventDefault(); else box.value = body; };
    const events = ["beforeinput", "input", "drop"];
    for (const name of events) box.addEventListener(name, refuse);
    return () => { for (const name of events) box.removeEventListener(name, refuse); };
  }, [body, editable]);
  const marked = body.slice(...span).trim();
  const look = () => setSpan([area.current.selectionStart, area.current.selectionEnd]);
  const shown = counted(marked) > LONGEST_SHOWN ? `${[...marked].slice(0, LONGEST_SHOWN).join("")}…` : marked;
  return (
    <div className="field">
      <label className="field">
        <span>{label}</span>
        <textarea ref={area} className="input" rows={rows} defaultValue={body} dir="auto"
          aria-readonly={!editable} inputMode={editable ? undefined : "none"} autoComplete="off" spellCheck={editable}
          name={editable ? "words" : undefined} aria-describedby="marking-hint" onSelect={editable ? undefined : look} />
      </label>
      <small className="hint" id="marking-hint">{hint}</small>
      {!editable && (
        <>
          <p className="marked" role="status">{marked ? <>{some} “<mark dir="auto">{shown}</mark>”</> : nothing}</p>
          <input type="hidden" name="words" value={marked || body} />
          <input type="hidden" name="place" value={marked ? counted(body.slice(0, span[0])) : ""} />
        </>
      )}
    </div>
  );
}
