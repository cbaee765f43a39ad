//! Many at once in one process: parallel ingest into one tenant and into many, while questions are asked.

use crate::support::stage::wait;
use crate::support::{Bench, arg};
use std::path::PathBuf;
use std::sync::Arc;
use stockade::corpus::TenantId;
use stockade::db::Interrupt;
use stockade::policy::Policy;
use stockade::runtime::{IngestReport, IngestRequest, Progress, Runtime};
use tokio_util::sync::CancellationToken;

fn host(tenants: &[&str]) -> (Bench, Arc<Runtime>, Vec<TenantId>) {
    let bench = Bench::with_tenants(&["first"]);
    // The program compiles what is used below: a compiler is the program itself, and this is only its test.
    bench
        .run_with_input(
            &["ingest", "first", "-"],
            "{\"id\":\"a\",\"text\":\"A.\"}\n",
        )
        .ok();
    let page = bench.file("page.md", "# A page");
    bench.run(&["ingest", "first", arg(&page)]).ok();
    bench.run(&["query", "first", "a page"]).ok();
    let runtime = Arc::new(Runtime::open(&bench.data()).unwrap());
    let policy = Policy::shipped("default").unwrap();
    let names: Vec<_> = tenants
        .iter()
        .map(|name| TenantId::new(name).unwrap())
        .collect();
    for name in &names {
        runtime.add_tenant(name, &policy).unwrap();
    }
    (bench, runtime, names)
}

async fn ingest(runtime: Arc<Runtime>, tenant: TenantId, folder: PathBuf) -> IngestReport {
    let progress = Arc::new(Progress::default());
    let interrupt = CancellationToken::new();
    let request = IngestRequest::of(folder);
    runtime
        .ingest(&tenant, &request, &progress, &interrupt)
        .await
        .unwrap()
}

fn sound(runtime: &Runtime, tenant: &TenantId, documents: u64) {
    let index = runtime.index(tenant).unwrap();
    assert_eq!(index.counts().unwrap().documents, documents);
    assert_eq!(
        index.check(&Interrupt::never()).unwrap(),
        Vec::<String>::new()
    );
}

#[test]
fn parallel_ingests_into_one_tenant_lose_and_mix_nothing() {
    let (bench, runtime, names) = host(&["acme"]);
    // Every second document is in all folders, each time with another text.
    for (folder, number) in (0..4).flat_map(|folder| (0..12).map(move |number| (folder, number))) {
        let shared = number % 2 == 0;
        let id = if shared {
            format!("{number}")
        } else {
            format!("{folder}-{number}")
        };
        let text = format!("Folder {folder} says this of {id}. ").repeat(60);
        bench.file(&format!("{folder}/{id}.txt"), text);
    }
    wait(async {
        let start = |folder: u32| {
            let path = bench.path(&folder.to_string());
            tokio::spawn(ingest(runtime.clone(), names[0].clone(), path))
        };
        let running: Vec<_> = (0..4).map(start).collect();
        for running in running {
            let report = running.await.unwrap();
            assert_eq!((report.seen, report.failed), (12, 0), "{report:?}");
            assert_eq!(report.added + report.replaced + report.unchanged, 12);
        }
    });
    sound(&runtime, &names[0], 6 + 4 * 6);
    let index = runtime.index(&names[0]).unwrap();
    for number in (0..12).step_by(2) {
        let text = index
            .document_text(&format!("{number}.txt"))
            .unwrap()
            .unwrap();
        let first = &text[..text.find(". ").unwrap() + 2];
        assert_eq!(text, first.repeat(60), "one folder's text, whole");
    }
}

#[test]
fn parallel_ingests_into_many_tenants_stay_apart() {
    let (bench, runtime, names) = host(&["one", "two", "three", "four"]);
    for (tenant, number) in names
        .iter()
        .flat_map(|name| (0..8).map(move |number| (name, number)))
    {
        bench.file(
            &format!("{tenant}/{number}.txt"),
            format!("Page {number} belongs to {tenant} alone."),
        );
    }
    wait(async {
        let start = |name: &TenantId| {
            let path = bench.path(name.as_str());
            tokio::spawn(ingest(runtime.clone(), name.clone(), path))
        };
        let running: Vec<_> = names.iter().map(start).collect();
        for running in running {
            assert_eq!(running.await.unwrap().added, 8);
        }
    });
    for name in &names {
        sound(&runtime, name, 8);
        let index = runtime.index(name).unwrap();
        for number in 0..8 {
            let text = index
                .document_text(&format!("{number}.txt"))
                .unwrap()
                .unwrap();
            assert!(text.contains(name.as_str()), "{text}");
        }
    }
}
