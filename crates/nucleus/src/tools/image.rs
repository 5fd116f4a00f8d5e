//! Pictures a model can look at: told by name and first bytes together.

/// First bytes, bytes further on with their place, ending of the name, kind, name for people.
struct Format {
    magic: &'static [u8],
    further: (usize, &'static [u8]),
    extensions: &'static [&'static str],
    mime_type: &'static str,
    name: &'static str,
}

const FORMATS: [Format; 5] = [
    Format {
        magic: b"\x89PNG\r\n\x1a\n",
        further: (12, b"IHDR"),
        extensions: &["png"],
        mime_type: "image/png",
        name: "PNG",
    },
    Format {
        magic: b"\xff\xd8\xff",
        further: (0, b""),
        extensions: &["jpg", "jpeg"],
        mime_type: "image/jpeg",
        name: "JPEG",
    },
    Format {
        magic: b"GIF87a",
        further: (0, b""),
        extensions: &["gif"],
        mime_type: "image/gif",
        name: "GIF",
    },
    Format {
        magic: b"GIF89a",
        further: (0, b""),
        extensions: &["gif"],
        mime_type: "image/gif",
        name: "GIF",
    },
    Format {
        magic: b"RIFF",
        further: (8, b"WEBP"),
        extensions: &["webp"],
        mime_type: "image/webp",
        name: "WebP",
    },
];

/// Kind and name of the picture at `path` that begins with `start`; `None` when either says something else.
pub(crate) fn image_format(path: &str, start: &[u8]) -> Option<(&'static str, &'static str)> {
    let found = FORMATS.iter().find(|format| {
        let (at, further) = format.further;
        named(path, format)
            && start.starts_with(format.magic)
            && start.get(at..).is_some_and(|rest| rest.starts_with(further))
    })?;
    Some((found.mime_type, found.name))
}

/// True when a path names a picture, whatever is in the file.
pub(crate) fn names_image(path: &str) -> bool {
    FORMATS.iter().any(|format| named(path, format))
}

fn named(path: &str, format: &Format) -> bool {
    let extension = path.rsplit('/').next().and_then(|name| name.rsplit_once('.'));
    extension.is_some_and(|(_, extension)| {
        format.extensions.iter().any(|known| extension.eq_ignore_ascii_case(known))
    })
}

#[cfg(test)]
mod tests {
    use super::{image_format, names_image};

    #[test]
    fn name_and_first_bytes_have_to_agree() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR";
        let webp = b"RIFF\x24\0\0\0WEBPVP8 ";
        let kind = |path, start: &[u8]| image_format(path, start).map(|(mime, _)| mime);
        assert_eq!(kind("a/b.PNG", png), Some("image/png"));
        assert_eq!(kind("b.jpeg", b"\xff\xd8\xff\xe0\0"), Some("image/jpeg"));
        assert_eq!(kind("b.gif", b"GIF87a\x01\0"), Some("image/gif"));
        assert_eq!(kind("b.gif", b"GIF89a\x01\0"), Some("image/gif"));
        assert_eq!(kind("b.webp", webp), Some("image/webp"));
        for (path, start) in [
            ("b.jpg", &png[..]),
            ("b", png),
            ("png", png),
            ("a.png/b", png),
            ("b.png", b"\x89PNG\r\n\x1a\n"),
            ("b.png", b"<svg"),
            ("b.svg", b"<svg"),
            ("b.webp", b"RIFF\x24\0\0\0WAVE"),
            ("b.gif", b"GIF88a"),
            ("b.png", b""),
        ] {
            assert_eq!(kind(path, start), None, "{path} {start:?}");
        }
        assert!(names_image("x/y.jpg") && !names_image("x.jpg/y"));
    }
}
