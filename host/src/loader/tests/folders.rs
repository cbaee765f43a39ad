//! Folders with things in them that are not files, or that change, or cannot be named.

use super::*;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;

#[test]
fn pipes_sockets_and_devices_are_never_opened() {
    let folder = folder(&[("a.txt", b"x")]);
    let pipe = folder.path().join("pipe.txt");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, fifo, mode, 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("s.txt")).unwrap();
    let all = told(&folder, &load(folder.path()));
    assert_eq!(
        all,
        [
            "a.txt",
            "- pipe.txt: a pipe, not a file",
            "- s.txt: a socket, not a file"
        ]
    );
    assert_eq!(
        told(&folder, &load(&pipe)),
        ["- pipe.txt: a pipe, not a file"]
    );
    let device = told(&folder, &load(Path::new("/dev/zero")));
    assert_eq!(device, ["- /dev/zero: a device, not a file"]);
    // Nor when one takes a file's place behind our back.
    let plan = try_plan(&[&folder.path().join("a.txt")], None).unwrap();
    fs::rename(&pipe, folder.path().join("a.txt")).unwrap();
    let loaded: Vec<Loaded> = plan.documents().collect();
    assert_eq!(
        told(&folder, &loaded),
        ["! a.txt: a.txt is no longer a regular file"]
    );
}

#[test]
fn links_neither_lead_out_nor_in_circles() {
    let outside = folder(&[("secret.txt", b"secret")]);
    let folder = folder(&[("in/a.txt", b"x")]);
    let at = |name: &str| folder.path().join(name);
    symlink("in/a.txt", at("1-file.txt")).unwrap();
    symlink("in", at("2-folder")).unwrap();
    symlink("..", at("in/up")).unwrap();
    symlink("4-self.txt", at("4-self.txt")).unwrap();
    symlink(outside.path().join("secret.txt"), at("5-out.txt")).unwrap();
    symlink(outside.path(), at("6-out")).unwrap();
    symlink("nowhere", at("7-broken.txt")).unwrap();
    let told_all = told(&folder, &load(folder.path()));
    let to_folder = "a link to a folder inside this one: its files are read where they are";
    let out = "a link that leads outside the folder: give its target as a PATH to read it";
    let expected = [
        "1-file.txt".to_owned(),
        format!("- 2-folder: {to_folder}"),
        "- 4-self.txt: a link that leads back to itself".to_owned(),
        format!("- 5-out.txt: {out}"),
        format!("- 6-out: {out}"),
        "! 7-broken.txt: cannot read 7-broken.txt: No such file or directory (os error 2)".into(),
        "in/a.txt".to_owned(),
        format!("- in/up: {to_folder}"),
    ];
    assert_eq!(told_all, expected);
    assert_eq!(
        told(&folder, &load(&at("5-out.txt"))),
        ["5-out.txt"],
        "named by the user"
    );
    assert_eq!(
        told(&folder, &load(&at("6-out"))),
        ["secret.txt"],
        "named by the user"
    );
}

#[test]
fn a_link_turned_outside_after_the_plan_is_refused() {
    let outside = folder(&[("secret.txt", b"secret")]);
    let folder = folder(&[("a.txt", b"x"), ("c.txt", b"x")]);
    let link = folder.path().join("b.txt");
    symlink("a.txt", &link).unwrap();
    let plan = try_plan(&[folder.path()], None).unwrap();
    for turned in [&link, &folder.path().join("c.txt")] {
        fs::remove_file(turned).unwrap();
        symlink(outside.path().join("secret.txt"), turned).unwrap();
    }
    let told = told(&folder, &plan.documents().collect::<Vec<_>>());
    assert_eq!(
        told[..2],
        [
            "a.txt",
            "! b.txt: b.txt is a link that now leads outside the folder"
        ]
    );
    assert!(
        told[2].starts_with("! c.txt: cannot read c.txt: "),
        "{}",
        told[2]
    );
}

#[test]
fn names_that_cannot_be_ids_fail_by_name() {
    let folder = folder(&[("line\nbreak.txt", b"x"), ("ok.txt", b"x")]);
    fs::write(folder.path().join(OsStr::from_bytes(b"caf\xe9.txt")), "x").unwrap();
    let long = (0..5).fold(PathBuf::new(), |path, _| path.join("d".repeat(250)));
    fs::create_dir_all(folder.path().join(&long)).unwrap();
    fs::write(folder.path().join(&long).join("deep.txt"), "x").unwrap();
    let told = told(&folder, &load(folder.path()));
    assert_eq!(
        told[0],
        "! caf\\xe9.txt: the file name caf\\xe9.txt is not UTF-8"
    );
    assert!(told[1].contains("is not a document id"), "{}", told[1]);
    assert!(told[2].starts_with("! line\\nbreak.txt: line\\nbreak.txt: 'line\\nbreak.txt' is not"));
    assert_eq!(told[3..], ["ok.txt"]);
}

#[test]
fn folders_end_at_a_depth() {
    let folder = tempfile::tempdir().unwrap();
    let deep = (0..300).fold(folder.path().to_owned(), |path, _| path.join("d"));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("lost.txt"), "x").unwrap();
    fs::write(
        (0..255)
            .fold(folder.path().to_owned(), |p, _| p.join("d"))
            .join("a.txt"),
        "x",
    )
    .unwrap();
    let loaded = load(folder.path());
    assert_eq!(document(&loaded[0]).id.len(), 255 * 2 + 5);
    let Loaded::Skipped { reason, .. } = &loaded[1] else {
        panic!("{:?}", loaded[1]);
    };
    assert_eq!(reason.to_string(), "more than 256 folders deep");
    assert_eq!(loaded.len(), 2);
}
