"""What Stockade is compared with: the ways to embed documents in Python, each as its own users would write it.

    threads            ThreadPoolExecutor over one shared sentence-transformers model
    threads-pinned     the same, with PyTorch's threads divided among ours
    processes          ProcessPoolExecutor, a sentence-transformers model in each process
    processes-pinned   the same, with PyTorch's threads divided among the processes
    onnxruntime        ThreadPoolExecutor over one ONNX Runtime session of one thread a call
    fastembed          ThreadPoolExecutor over one fastembed model of one thread a call

Every one embeds the chunks that Stockade made of the same documents, one call a document as a pipeline does,
and answers with one JSON line. The interpreter, the imports, the models and a first call are start-up and not
timed. PyTorch chooses its own number of threads, as it does for whoever does not ask ($OMP_NUM_THREADS
decides otherwise), save in `threads-pinned` and `processes-pinned`. No network connection is opened.
"""

import argparse
import json
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

FIRST = ["The first call prepares what later ones use."]
TOKENS = 256


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kind", required=True)
    parser.add_argument("--model", required=True, help="folder of the model, with its ONNX graph")
    parser.add_argument("--scratch", required=True, help="an empty folder of this run's own")
    parser.add_argument("--chunks", required=True, help="JSON lines {chunks: [text]}, one a document")
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--sample", required=True, help="numbers of chunks whose vectors are shown")
    return parser.parse_args()


def sentence_transformers(folder, threads=0):
    import torch
    from sentence_transformers import SentenceTransformer

    if threads:
        torch.set_num_threads(threads)
    model = SentenceTransformer(folder, device="cpu")

    def embed(chunks):
        return model.encode(chunks, show_progress_bar=False)

    embed(FIRST)
    return embed


def onnxruntime(folder):
    import numpy
    import onnxruntime as ort
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    tokenizer.enable_truncation(TOKENS)
    tokenizer.enable_padding()
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    graph = os.path.join(folder, "model.onnx")
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def embed(chunks):
        encoded = tokenizer.encode_batch(chunks)
        inputs = {
            "input_ids": numpy.array([one.ids for one in encoded], dtype=numpy.int64),
            "attention_mask": numpy.array([one.attention_mask for one in encoded], dtype=numpy.int64),
        }
        return session.run(None, inputs)[0]

    embed(FIRST)
    return embed


def fastembed(folder, scratch):
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    # It reads the length from a file that the model's folder does not have as it needs it.
    for name in os.listdir(folder):
        if name != "tokenizer_config.json":
            os.symlink(os.path.abspath(os.path.join(folder, name)), os.path.join(scratch, name))
    with open(os.path.join(scratch, "tokenizer_config.json"), "w", encoding="utf-8") as file:
        json.dump({"model_max_length": TOKENS, "pad_token": "[PAD]"}, file)
    # The graph pools and normalises by itself.
    TextEmbedding.add_custom_model(
        model="stockade/local",
        pooling=PoolingType.DISABLED,
        normalization=False,
        sources=ModelSource(url="file:///dev/null"),
        dim=384,
        model_file="model.onnx",
    )
    model = TextEmbedding(
        "stockade/local", threads=1, specific_model_path=scratch, cache_dir=scratch, cuda=False
    )

    def embed(chunks):
        return list(model.embed(chunks))

    embed(FIRST)
    return embed


EMBED = None


def become_worker(folder, threads, ready):
    """Runs in each process of a pool: its own model, then a wait until all the others have theirs."""
    global EMBED
    EMBED = sentence_transformers(folder, threads)
    ready.wait()


def embed_in_worker(chunks):
    return EMBED(chunks)


def by_threads(options, documents, embed):
    with ThreadPoolExecutor(max_workers=options.workers) as pool:
        began = time.perf_counter()
        vectors = list(pool.map(embed, documents))
        return vectors, time.perf_counter() - began


def by_processes(options, documents, threads):
    ready = multiprocessing.Barrier(options.workers + 1)
    pool = ProcessPoolExecutor(
        max_workers=options.workers,
        initializer=become_worker,
        initargs=(options.model, threads, ready),
    )
    with pool:
        first = [pool.submit(embed_in_worker, FIRST) for _ in range(options.workers)]
        ready.wait()
        for one in first:
            one.result()
        began = time.perf_counter()
        vectors = list(pool.map(embed_in_worker, documents))
        return vectors, time.perf_counter() - began


def main():
    options = arguments()
    with open(options.chunks, encoding="utf-8") as lines:
        documents = [json.loads(line)["chunks"] for line in lines]
    pinned = max(1, len(os.sched_getaffinity(0)) // options.workers)
    if options.kind == "processes":
        vectors, seconds = by_processes(options, documents, 0)
    elif options.kind == "processes-pinned":
        vectors, seconds = by_processes(options, documents, pinned)
    else:
        loaders = {
            "threads": lambda: sentence_transformers(options.model),
            "threads-pinned": lambda: sentence_transformers(options.model, pinned),
            "onnxruntime": lambda: onnxruntime(options.model),
            "fastembed": lambda: fastembed(options.model, options.scratch),
        }
        vectors, seconds = by_threads(options, documents, loaders[options.kind]())

    flat = [vector for document in vectors for vector in document]
    sample = [flat[int(number)].tolist() for number in options.sample.split(",")]
    answer = {"seconds": seconds, "documents": len(documents), "chunks": len(flat), "sample": sample}
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
