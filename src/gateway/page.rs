//! The page's files, embedded.

/// Path, type and bytes of each.
pub(super) const FILES: &[(&str, &str, &[u8])] = &[(
    "/",
    "text/html; charset=utf-8",
    b"<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>hypostyle</title>\
      <p>A hypostyle gateway. It speaks <code>hypostyle.v1</code> at <code>/live</code>; \
      see also <a href=\"/layout\">/layout</a> and <a href=\"/metrics\">/metrics</a>.</p></html>",
)];

/// What a page may load: itself, and this gateway.
pub(super) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     connect-src 'self' ws: wss:; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
