// A scrolling area that follows what arrives at its end, unless the reader has scrolled up; sending brings the end back.
import { useEffect, useRef, useState } from "react";

const NEAR = 48; // px from the end that count as the end

export function Thread({ children, label = "Conversation", follow = "", sent = 0 }) {
  const box = useRef(null);
  const seen = useRef({ follows: true, top: 0 });
  const [away, setAway] = useState(false);
  const toEnd = () => {
    const el = box.current;
    if (!el) return; // a last change of size may be told after the page was left
    seen.current.follows = true;
    setAway(false);
    el.scrollTop = el.scrollHeight;
    seen.current.top = el.scrollTop;
  };
  useEffect(toEnd, [follow, sent]);
  useEffect(() => {
    const el = box.current;
    const left = () => el.scrollHeight - el.scrollTop - el.clientHeight;
    // Being far from the end does not tell that somebody scrolled: text may have arrived meanwhile. Going up does.
    const moved = () => {
      if (left() < NEAR) seen.current.follows = true;
      else if (el.scrollTop < seen.current.top - 1) seen.current.follows = false;
      seen.current.top = el.scrollTop;
      setAway(!seen.current.follows && left() >= NEAR);
    };
    const grown = new ResizeObserver(() => {
      if (seen.current.follows) toEnd();
      else setAway(left() >= NEAR);
    });
    el.addEventListener("scroll", moved, { passive: true });
    grown.observe(el);
    for (const child of el.children) grown.observe(child);
    return () => { el.removeEventListener("scroll", moved); grown.disconnect(); };
  }, []);
  return (
    <div className="thread-view">
      <div className="scroll" ref={box} role="log" aria-live="off" aria-label={label} tabIndex={0}>
        <div>{children}</div>
      </div>
      {away && <div className="jump"><button type="button" className="btn mini" onClick={toEnd}>Latest ↓</button></div>}
    </div>
  );
}
