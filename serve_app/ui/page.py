"""The page's frame and controls, laid out by Gradio.

Gradio's server has no part in the work: no component has a listener in Python. The scripts in `static`
read the controls, send the document to the HTTP interface from the browser, with the user's own key, and
fill the places that are left empty here.
"""

import gradio as gr

from deployments.types import MAX_PROMPT_CHARS

MODES = [
    ("Document to Markdown", "markdown"),
    ("Plain text", "text"),
    ("Table", "table"),
    ("Custom prompt", "custom"),
]

FONTS = ["system-ui", "-apple-system", "Segoe UI", "Noto Sans", "Noto Sans CJK SC", "sans-serif"]
MONOSPACED = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]
"""Fonts that the reader's own machine has: none is loaded."""


def theme() -> gr.themes.Base:
    """Return the page's colours and fonts."""
    return gr.themes.Base(
        primary_hue="teal", secondary_hue="teal", neutral_hue="slate", font=FONTS, font_mono=MONOSPACED
    ).set(
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_600",
        block_label_text_size="*text_sm",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_400",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
    )


def build_page() -> gr.Blocks:
    """Return the page; its texts are English, and the scripts know the other languages."""
    page: gr.Blocks = gr.Blocks(title="dsocr", analytics_enabled=False, fill_width=True)
    with page:
        gr.Markdown("", elem_id="dsocr-header", container=False)
        with gr.Row(elem_id="dsocr-frame"):
            with gr.Column(scale=0, min_width=300, elem_id="dsocr-controls"):
                gr.Markdown("", elem_id="dsocr-source", container=False)
                gr.Radio(
                    MODES, value="markdown", label="What to read", interactive=True, elem_id="dsocr-mode"
                )
                gr.Textbox(
                    label="Prompt",
                    placeholder="<|grounding|>Extract all mathematical formulas.",
                    lines=2,
                    max_length=MAX_PROMPT_CHARS,
                    interactive=True,
                    elem_id="dsocr-prompt",
                )
                gr.Textbox(
                    label="Pages", placeholder="all, or 1-3, 5", interactive=True, elem_id="dsocr-pages"
                )
                gr.Checkbox(
                    True,
                    label="Look closely: large pages also in tiles",
                    interactive=True,
                    elem_id="dsocr-crop",
                    container=True,
                )
                with gr.Accordion("Advanced", open=False, elem_id="dsocr-advanced"):
                    gr.Slider(
                        72,
                        300,
                        144,
                        step=12,
                        label="Resolution of PDF pages, dpi",
                        interactive=True,
                        elem_id="dsocr-dpi",
                    )
                    gr.Checkbox(
                        False,
                        label="Join what page breaks cut, in downloads",
                        interactive=True,
                        elem_id="dsocr-merge",
                    )
                    gr.Checkbox(
                        True, label="Follow the page being read", interactive=True, elem_id="dsocr-follow"
                    )
                gr.Textbox(label="API key", type="password", interactive=True, elem_id="dsocr-key")
                with gr.Row(elem_id="dsocr-actions"):
                    gr.Button("Read", variant="primary", elem_id="dsocr-read", interactive=True)
                    gr.Button("Stop", variant="stop", elem_id="dsocr-stop", interactive=True)
            with gr.Column(scale=1, min_width=300, elem_id="dsocr-main"):
                gr.Markdown("", elem_id="dsocr-work", container=False)
    return page
