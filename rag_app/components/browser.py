"""Python faces of the hand-written browser components in assets/ui."""

from typing import Any, ClassVar

import reflex as rx
from reflex.event import no_args_event_spec, passthrough_event_spec


class _Own(rx.Component):
    """A component of our own; nothing of it is fetched from elsewhere."""

    triggers: ClassVar[dict[str, Any]] = {}

    @classmethod
    def get_event_triggers(cls) -> dict[str, Any]:
        """The events it raises, each with what it hands over."""
        return {**super().get_event_triggers(), **cls.triggers}


class Answer(_Own):
    """Markdown without raw HTML or foreign images, with citations as chips. The one safe place for model text."""

    library = "$/public/ui/answer.jsx"
    tag = "Answer"
    lib_dependencies: list[str] = ["react-markdown@10.1.0", "remark-gfm@4.0.1"]

    text: rx.Var[str]
    citations: rx.Var[list]
    active: rx.Var[int]
    triggers = {"on_cite": passthrough_event_spec(int)}


class Composer(_Own):
    """The field a question is typed into."""

    library = "$/public/ui/composer.jsx"
    tag = "Composer"

    busy: rx.Var[bool]
    disabled: rx.Var[bool]
    last: rx.Var[str]
    draft: rx.Var[str]
    placeholder: rx.Var[str]
    label: rx.Var[str]
    triggers = {"on_send": passthrough_event_spec(str), "on_stop": no_args_event_spec}


class Thread(_Own):
    """A scrolling area that stays at its end while text arrives; another `sent` brings the end into view."""

    library = "$/public/ui/thread.jsx"
    tag = "Thread"

    label: rx.Var[str]
    follow: rx.Var[str]
    sent: rx.Var[int]


class Dialog(_Own):
    """A native modal dialog."""

    library = "$/public/ui/dialog.jsx"
    tag = "Dialog"

    open: rx.Var[bool]
    label: rx.Var[str]
    wide: rx.Var[bool]
    triggers = {"on_close": no_args_event_spec}


class Side(_Own):
    """A panel beside the content."""

    library = "$/public/ui/side.jsx"
    tag = "Side"

    label: rx.Var[str]
    title: rx.Var[str]
    place: rx.Var[str]
    subject: rx.Var[str]
    actions: rx.Var[list]
    triggers = {"on_close": no_args_event_spec}


class Marking(_Own):
    """A passage in which words are marked; its form gets `words`, and `place`: where to look for them."""

    library = "$/public/ui/marking.jsx"
    tag = "Marking"

    text: rx.Var[str]
    label: rx.Var[str]
    hint: rx.Var[str]
    editable: rx.Var[bool]
    nothing: rx.Var[str]
    some: rx.Var[str]


class VersionUploader(_Own):
    """Takes one file as a new version of a document."""

    library = "$/public/ui/uploader.jsx"
    tag = "VersionUploader"

    url: rx.Var[str]
    max_mb: rx.Var[int]
    accept: rx.Var[str]
    triggers = {"on_added": passthrough_event_spec(int)}


class Uploader(VersionUploader):
    """Drop zone and list of uploads with a bar for each."""

    tag = "Uploader"

    formats: rx.Var[str]


class Gate(_Own):
    """A form that speaks plain HTTP, for everything that sets the cookie of a session."""

    library = "$/public/ui/gate.jsx"
    tag = "Gate"

    action: rx.Var[str]
    method: rx.Var[str]
    submit: rx.Var[str]
    next: rx.Var[str]
    with_token: rx.Var[bool]
    dead: rx.Var[str]
    success: rx.Var[str]
    triggers = {"on_token": passthrough_event_spec(str)}


class SignOut(_Own):
    """Ends the session and goes to the sign-in page."""

    library = "$/public/ui/gate.jsx"
    tag = "SignOut"

    action: rx.Var[str]


class Age(_Own):
    """How long ago a moment was."""

    library = "$/public/ui/small.jsx"
    tag = "Age"

    when: rx.Var[str]


class Copy(_Own):
    """Copies a text to the clipboard."""

    library = "$/public/ui/small.jsx"
    tag = "Copy"

    text: rx.Var[str]
    label: rx.Var[str]


class Unencrypted(_Own):
    """Says so when the page was not loaded over https."""

    library = "$/public/ui/small.jsx"
    tag = "Unencrypted"


class Theme(_Own):
    """Switches between light and dark colours."""

    library = "$/public/ui/small.jsx"
    tag = "Theme"


class Ticker(_Own):
    """Asks for news again and again while the page is open and visible."""

    library = "$/public/ui/small.jsx"
    tag = "Ticker"

    every: rx.Var[int]
    triggers = {"on_tick": no_args_event_spec}


class Palette(_Own):
    """Finds any place, bot, knowledge base or conversation from the keyboard (⌘K or Ctrl-K)."""

    library = "$/public/ui/palette.jsx"
    tag = "Palette"

    results: rx.Var[list]
    triggers = {"on_search": passthrough_event_spec(str), "on_pick": passthrough_event_spec(str)}


class PaletteButton(_Own):
    """Opens the palette by pointer, and shows which keys do."""

    library = "$/public/ui/palette.jsx"
    tag = "PaletteButton"


class Later(_Own):
    """Raises one event after some milliseconds."""

    library = "$/public/ui/small.jsx"
    tag = "Later"

    after: rx.Var[int]
    triggers = {"on_time": no_args_event_spec}


class Safe(_Own):
    """Shows a sentence in place of a page that broke."""

    library = "$/public/ui/safe.jsx"
    tag = "Safe"


class Tabs(_Own):
    """A list of tabs that the arrow keys walk through."""

    library = "$/public/ui/small.jsx"
    tag = "Tabs"

    label: rx.Var[str]
