//! The page's files, embedded. They are made in `web/`.

/// Path, type and bytes of each.
pub(super) const FILES: &[(&str, &str, &[u8])] = &[
    ("/", "text/html; charset=utf-8", include_bytes!("../../web/page/index.html")),
    ("/page.css", "text/css; charset=utf-8", include_bytes!("../../web/page/page.css")),
    ("/page.js", "text/javascript; charset=utf-8", include_bytes!("../../web/page/page.js")),
];

/// What a page may load: itself, and this gateway.
pub(super) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     connect-src 'self' ws: wss:; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
