// Small pieces that need the browser: how long ago or ahead, copy to the clipboard, whether the connection is encrypted, theme.
import { useContext, useEffect, useState } from "react";
import { ColorModeContext } from "$/utils/context-registry";

const STEPS = [[60, "second", 1], [3600, "minute", 60], [86400, "hour", 3600], [2592000, "day", 86400], [31536000, "month", 2592000], [Infinity, "year", 31536000]];

function ago(when) {
  const seconds = (Date.now() - new Date(when).getTime()) / 1000;
  if (!Number.isFinite(seconds)) return "";
  // Clocks differ a little, so what lies some seconds ahead is not the future yet.
  if (Math.abs(seconds) < 45) return "just now";
  const [, unit, size] = STEPS.find(([limit]) => Math.abs(seconds) < limit);
  return new Intl.RelativeTimeFormat(undefined, { style: "short" }).format(-Math.round(seconds / size), unit);
}

export function Age({ when = "" }) {
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick((n) => n + 1), 30000);
    tick(1);
    return () => clearInterval(timer);
  }, []);
  if (!when) return null;
  return <time dateTime={when} title={new Date(when).toLocaleString()} className="nowrap">{ago(when)}</time>;
}

export function Copy({ text = "", label = "Copy", className = "btn plain mini" }) {
  const [done, setDone] = useState(false);
  useEffect(() => {
    if (!done) return undefined;
    const timer = setTimeout(() => setDone(false), 1600);
    return () => clearTimeout(timer);
  }, [done]);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    setDone(true);
  };
  return <button type="button" className={className} onClick={copy} aria-live="polite">{done ? "Copied" : label}</button>;
}

const LOCAL = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

export function Unencrypted() {
  const [kind, setKind] = useState("");
  useEffect(() => {
    if (location.protocol === "http:") setKind(LOCAL.test(location.hostname) ? "local" : "open");
  }, []);
  if (!kind) return null;
  if (kind === "local") {
    return <div className="banner quiet" role="note">Not encrypted (http)<span className="wide-text"> – fine on this computer only</span></div>;
  }
  return (
    <div className="banner warn" role="note">
      Not encrypted: passwords and documents can be read on the way.<span className="wide-text"> Put the server behind https.</span>
    </div>
  );
}

export function Theme() {
  const { resolvedColorMode, toggleColorMode } = useContext(ColorModeContext);
  const [ready, setReady] = useState(false);
  useEffect(() => setReady(true), []);
  const dark = ready && resolvedColorMode === "dark";
  return (
    <button type="button" className="nav-link" aria-pressed={dark} onClick={toggleColorMode}>
      <svg className="icon" viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="2" aria-hidden="true">
        <circle cx="12" cy="12" r="9" /><path d="M12 3a9 9 0 0 1 0 18z" fill="currentColor" />
      </svg>
      {dark ? "Light colours" : "Dark colours"}
    </button>
  );
}

export function Ticker({ every = 2000, onTick }) {
  useEffect(() => {
    const timer = setInterval(() => { if (document.visibilityState === "visible") onTick?.(); }, every);
    return () => clearInterval(timer);
  }, [every, onTick]);
  return null;
}

export function Later({ after = 8000, onTime }) {
  useEffect(() => {
    const timer = setTimeout(() => onTime?.(), after);
    return () => clearTimeout(timer);
  }, []);
  return null;
}

export function Tabs({ label = "", children }) {
  const press = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const all = [...event.currentTarget.querySelectorAll("[role=tab]")];
    const at = all.indexOf(document.activeElement);
    const turned = getComputedStyle(event.currentTarget).direction === "rtl" ? -step : step;
    const next = all[(at + turned + all.length) % all.length];
    event.preventDefault();
    next?.focus();
    next?.click();
  };
  return <div className="tabs" role="tablist" aria-label={label} onKeyDown={press}>{children}</div>;
}
