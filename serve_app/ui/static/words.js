// The page's texts. English is what the page is written in; another language is a table from it.

const CHINESE = {
  "HTTP interface": "HTTP 接口",
  "Light or dark": "浅色/深色",
  "Drop a PDF, a photo or a picture here": "将 PDF、照片或图片拖到这里",
  "or choose a file, or paste one": "或选择文件，也可以粘贴",
  "Examples": "示例",
  "Documents in, text out": "文档进，文字出",
  "Choose a document and press Read: you see the text as it is written, where on the page each block stands, and can take it all with you.":
    "选择一个文档并点击“识别”：文字逐步写出，每个文本块在页面上的位置一目了然，结果可以全部下载。",
  "Text": "文本",
  "As the model writes it": "模型原始输出",
  "Take it with you": "下载结果",
  "What to read": "识别方式",
  "Document to Markdown": "文档转 Markdown",
  "Plain text": "纯文本",
  "Table": "表格",
  "Custom prompt": "自定义提示词",
  "Prompt": "提示词",
  "Pages": "页码",
  "all, or 1-3, 5": "全部，或 1-3, 5",
  "Look closely: large pages also in tiles": "细看：大页面另外分块识别",
  "Advanced": "高级设置",
  "Resolution of PDF pages, dpi": "PDF 页面分辨率（dpi）",
  "Join what page breaks cut, in downloads": "下载时合并被分页截断的内容",
  "Follow the page being read": "跟随正在识别的页面",
  "API key": "API 密钥",
  "Read": "识别",
  "Stop": "停止",
  "Legend": "图例",
  "Page {0} of {1}": "第 {0} 页，共 {1} 页",
  "Page {0}": "第 {0} 页",
  "Page {0}, {1}": "第 {0} 页，{1}",
  "read page {0}": "识别第 {0} 页",
  "Reading: {0} of {1} pages done": "正在识别：已完成 {0}/{1} 页",
  "about {0} left": "约剩 {0}",
  "{0} s": "{0} 秒",
  "{0} min": "{0} 分钟",
  "Done: {0} pages in {1}": "完成：{0} 页，用时 {1}",
  "Done: {0} pages in {1}, {2} could not be read": "完成：{0} 页，用时 {1}，其中 {2} 页无法识别",
  "Stopped: {0} of {1} pages done": "已停止：完成 {0}/{1} 页",
  "Opening the document …": "正在打开文档…",
  "Waiting for the engine …": "正在等待引擎…",
  "{0} engine": "{0} 引擎",
  "the engine is not ready yet": "引擎尚未就绪",
  "waiting": "等待中",
  "being read": "识别中",
  "done": "已完成",
  "failed": "失败",
  "not read": "未识别",
  "Show {0} more pages": "再显示 {0} 页",
  "Turned by {0}° to be read": "识别前已旋转 {0}°",
  "This page has not been read.": "此页尚未识别。",
  "Nothing was found on this page.": "此页未发现内容。",
  "The file is larger than the {0} MiB that are allowed.": "文件超过允许的 {0} MiB。",
  "The service can't be reached. Is it running?": "无法连接服务，它在运行吗？",
  "The service broke off. Try again.": "服务中断，请重试。",
  "Write pages as numbers and ranges, as in 1-3, 5.": "请用数字和范围填写页码，例如 1-3, 5。",
  "The document has {0} pages.": "文档共有 {0} 页。",
  "Write a prompt, or choose another way to read.": "请填写提示词，或选择其他识别方式。",
  "This service wants an API key: enter it on the left.": "此服务需要 API 密钥：请在左侧填写。",
  "Making the file …": "正在生成文件…",
  "Markdown": "Markdown",
  "Web page": "网页",
  "All as ZIP": "全部（ZIP）",
  "Searchable PDF": "可搜索 PDF",
  "PDF with boxes": "带标注框的 PDF",
  "This page with boxes": "本页标注图",
  "Tables for Excel": "表格（Excel）",
  "Tables as CSV": "表格（CSV）",
  "JSON": "JSON",
  "text": "正文", "title": "标题", "list": "列表", "table": "表格", "image": "图片", "equation": "公式",
  "caption": "图注", "code": "代码", "references": "参考文献", "aside_text": "旁注", "header": "页眉",
  "footer": "页脚", "signature": "签名",
};

let language = "en";

export const currentLanguage = () => language;

/** The text in the page's language, with {0}, {1} … filled in. */
export function say(text, ...values) {
  const found = language === "zh" ? CHINESE[text] ?? text : text;
  return found.replace(/\{(\d)\}/g, (_, number) => String(values[number]));
}

const originals = new WeakMap();

/** Put everything that is written in the page into a language; what was written later is asked for anew. */
export function speak(chosen, root = document.body) {
  language = chosen;
  document.documentElement.lang = chosen === "zh" ? "zh-Hans" : "en";
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT, (node) =>
    node.parentElement?.closest(".ds-own, script, style, textarea") ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_ACCEPT,
  );
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const original = originals.get(node) ?? node.data.trim();
    if (!(original in CHINESE)) continue;
    originals.set(node, original);
    node.data = say(original);
  }
  for (const field of root.querySelectorAll("[placeholder], [aria-label]")) {
    if (field.closest(".ds-own")) continue;
    for (const name of ["placeholder", "aria-label"]) {
      const kept = `data-en-${name}`;
      const original = field.getAttribute(kept) ?? field.getAttribute(name);
      if (original && original in CHINESE) {
        field.setAttribute(kept, original);
        field.setAttribute(name, say(original));
      }
    }
  }
}
