// The field a question is typed into: grows with its text; Enter sends, Shift-Enter breaks the line, Esc stops, Up recalls.
import { useEffect, useRef, useState } from "react";

const store = {
  read(key) { try { return sessionStorage.getItem(key) ?? ""; } catch { return ""; } },
  write(key, value) { try { sessionStorage.setItem(key, value); } catch { /* private mode */ } },
};

export function Composer({ onSend, onStop, busy = false, disabled = false, last = "", draft = "new", placeholder = "", label = "Question", limit = 8000 }) {
  const key = `draft:${draft}`;
  const field = useRef(null);
  const [text, setText] = useState("");
  useEffect(() => { setText(store.read(key)); }, [key]);
  useEffect(() => {
    const box = field.current;
    box.style.height = "auto";
    box.style.height = `${box.scrollHeight}px`;
  }, [text]);
  useEffect(() => {
    if (!disabled && !matchMedia("(pointer: coarse)").matches) field.current?.focus({ preventScroll: true });
  }, [draft, disabled]);
  useEffect(() => {
    const stop = (event) => { if (event.key === "Escape" && busy && !event.defaultPrevented) onStop?.(); };
    addEventListener("keydown", stop);
    return () => removeEventListener("keydown", stop);
  }, [busy, onStop]);

  const change = (value) => { setText(value); store.write(key, value); };
  const send = () => {
    const question = text.trim();
    if (!question || busy || disabled) return;
    onSend?.(question);
    change("");
  };
  const press = (event) => {
    if (event.nativeEvent.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      send();
    } else if (event.key === "ArrowUp" && !text && last) {
      event.preventDefault();
      change(last);
    }
  };
  return (
    <form className="compose" onSubmit={(event) => { event.preventDefault(); send(); }}>
      <textarea ref={field} rows={1} value={text} placeholder={placeholder} aria-label={label} maxLength={limit}
        dir="auto" disabled={disabled} onChange={(event) => change(event.target.value)} onKeyDown={press} />
      {busy
        ? <button type="button" className="btn" onClick={() => onStop?.()} title="Stop (Esc)">Stop</button>
        : <button type="submit" className="btn primary" disabled={!text.trim() || disabled} title="Send (Enter)">Send</button>}
    </form>
  );
}
