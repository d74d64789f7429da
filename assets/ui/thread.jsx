// A scrolling area that stays at its end while text arrives, unless the reader has scrolled up.
import { useEffect, useRef, useState } from "react";

export function Thread({ children, label = "Conversation", follow = "" }) {
  const box = useRef(null);
  const atEnd = useRef(true);
  const [away, setAway] = useState(false);
  const toEnd = () => { const el = box.current; if (el) el.scrollTop = el.scrollHeight; };
  useEffect(() => { atEnd.current = true; setAway(false); toEnd(); }, [follow]);
  useEffect(() => {
    const el = box.current;
    const moved = () => {
      atEnd.current = el.scrollHeight - el.scrollTop - el.clientHeight < 48;
      setAway(!atEnd.current);
    };
    const grown = new ResizeObserver(() => { if (atEnd.current) toEnd(); });
    el.addEventListener("scroll", moved, { passive: true });
    grown.observe(el);
    for (const child of el.children) grown.observe(child);
    return () => { el.removeEventListener("scroll", moved); grown.disconnect(); };
  }, []);
  return (
    <div className="scroll" ref={box} role="log" aria-live="off" aria-label={label} tabIndex={0}>
      <div>{children}</div>
      {away && <div className="jump"><button type="button" className="btn mini" onClick={toEnd}>Latest ↓</button></div>}
    </div>
  );
}
