#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| infertally_fuzz::lora_responses::check(input));
