//! The seeds of the syncer's targets: pages of real model servers and of an Envoy, real responses, and handmade files.

use std::fs;
use std::path::Path;

use super::{files, root, split_head, with_header};
use crate::body::HEADER;
use crate::{lora_config, pods, targets_file};

/// Bytes of a part of a page: libFuzzer cuts longer inputs off.
const MAX_PART: usize = 3500;
/// Pods by their fields, for the target `pods`.
const PODS: [(&str, &[(u8, &str)]); 4] = [
    (
        "plain",
        &[
            (0, "a"),
            (1, "10.0.0.1"),
            (2, "True"),
            (0, "b"),
            (1, "fd00::1"),
            (3, "Failed"),
        ],
    ),
    (
        "annotated",
        &[
            (0, "a"),
            (5, "8002"),
            (6, "https"),
            (7, "/m?x=y"),
            (9, "8000, 8001"),
            (13, "vllm"),
            (17, "decode"),
        ],
    ),
    (
        "istio",
        &[
            (0, "a"),
            (8, "{}"),
            (5, "15020"),
            (7, "/stats/prometheus"),
            (16, "prefill"),
            (4, ""),
        ],
    ),
    (
        "invalid",
        &[
            (0, "a-rank-0"),
            (10, "0"),
            (11, "HTTPS"),
            (12, "//h:1/ #"),
            (1, "10.0.0.1:80"),
            (0, "a"),
            (5, "-1"),
        ],
    ),
];

/// Adds the seeds of a target by their names; none if it is not one of the syncer's.
pub(super) fn add_seeds(target: &str, add: &mut impl FnMut(String, Vec<u8>)) -> std::io::Result<()> {
    match target {
        "lora_config" => lora_config::FILES
            .iter()
            .for_each(|(name, file)| add((*name).to_owned(), with_header(&[], file.as_bytes()))),
        "lora_models" => model_lists()?
            .into_iter()
            .for_each(|(name, list)| add(name, with_header(&[], &list))),
        "lora_responses" => lora_responses()?.into_iter().for_each(|(name, body)| {
            // Of each API: to a load and an unload with the status 400, to an unload with 404.
            for chosen in [[0, 0, 1], [0, 3, 1], [0, 3, 4], [1, 0, 1], [1, 3, 1], [1, 3, 4]] {
                let index = chosen.map(|choice| choice.to_string()).concat();
                add(format!("{name}.{index}"), with_header(&chosen, &body));
            }
        }),
        "targets_file" => targets_file::FILES
            .iter()
            .for_each(|(name, file)| add((*name).to_owned(), with_header(&[], file.as_bytes()))),
        "pods" => PODS
            .iter()
            .for_each(|(name, fields)| add((*name).to_owned(), pods::input(fields))),
        "metrics_page" => {
            for (name, page) in metrics_pages()? {
                for (index, part) in parts(&page).into_iter().enumerate() {
                    add(format!("{name}.{index}"), with_header(&[0, 0], &part));
                    add(format!("{name}.{index}.long"), with_first_line_repeated(&[0, 0], &part));
                    let open_metrics = [&*part, b"# EOF\n"].concat();
                    add(
                        format!("{name}.{index}.openmetrics"),
                        with_header(&[1, 0], &open_metrics),
                    );
                }
            }
        }
        "envoy_page" => {
            let page = fs::read(root().join("tests/fixtures/envoy-1.40.0/stats_prometheus.txt"))?;
            for (index, part) in parts(&page).into_iter().enumerate() {
                add(format!("stats.{index}"), with_header(&[], &part));
                add(format!("stats.{index}.long"), with_first_line_repeated(&[], &part));
            }
        }
        _ => {}
    }
    Ok(())
}

/// An input whose page is longer than one of the fetcher's pieces.
fn with_first_line_repeated(chosen: &[u8], page: &[u8]) -> Vec<u8> {
    let line = page.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let mut header = [0; HEADER];
    if let ([.., size, times], Ok(line)) = (&mut header, u8::try_from(line)) {
        (*size, *times) = (line, u8::MAX);
    }
    [chosen, &header, page].concat()
}

/// The responses of `/v1/models`, vLLM's and SGLang's.
fn model_lists() -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let mut lists = Vec::new();
    for folder in ["vllm-0.32.0", "sglang-lora"] {
        for file in files(&root().join("tests/fixtures").join(folder))? {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with("models") && name.ends_with(".resp") {
                let response = fs::read(&file)?;
                lists.extend(split_head(&response).map(|(_, body)| (format!("{folder}-{name}"), body.to_vec())));
            }
        }
    }
    Ok(lists)
}

/// The responses to loads and unloads, vLLM's and SGLang's.
fn lora_responses() -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let mut responses = Vec::new();
    for folder in ["vllm-0.32.0", "sglang-lora"] {
        for file in files(&root().join("tests/fixtures").join(folder))? {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if ["lora_", "load_", "unload_"]
                .iter()
                .any(|prefix| name.starts_with(prefix))
                && name.ends_with(".resp")
            {
                let response = fs::read(&file)?;
                responses.extend(split_head(&response).map(|(_, body)| (format!("{folder}-{name}"), body.to_vec())));
            }
        }
    }
    Ok(responses)
}

/// The pages of real model servers, and those of the engines' tests.
fn metrics_pages() -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let mut pages = Vec::new();
    for folder in files(&root().join("tests/fixtures"))? {
        for file in files(&folder)? {
            let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let (folder, file_name) = (name(&folder), name(&file));
            let bytes = fs::read(&file)?;
            if folder == "engines" && file_name.ends_with(".txt") {
                pages.push((file_name, bytes));
            } else if file_name.starts_with("metrics") && file_name.ends_with(".resp") {
                pages.extend(split_head(&bytes).map(|(_, page)| (format!("{folder}-{file_name}"), page.to_vec())));
            }
        }
    }
    Ok(pages)
}

/// The samples of a page in parts of whole lines. Of a page longer than one part, only metrics that the syncer may read.
fn parts(page: &[u8]) -> Vec<Vec<u8>> {
    let is_read = |line: &&[u8]| {
        let others: [&[u8]; 5] = [b"#", b"python_", b"process_", b"http_", b"envoy_"];
        page.len() <= MAX_PART || !others.iter().any(|prefix| line.starts_with(prefix))
    };
    let mut parts: Vec<Vec<u8>> = vec![Vec::new()];
    for line in page.split_inclusive(|byte| *byte == b'\n').filter(is_read) {
        match parts.last_mut() {
            Some(part) if part.len() + line.len() <= MAX_PART => part.extend_from_slice(line),
            _ => parts.push(line.to_vec()),
        }
    }
    parts
}
