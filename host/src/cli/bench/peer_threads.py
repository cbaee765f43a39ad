"""The peer `threads`: Python's ThreadPoolExecutor over one shared sentence-transformers model.

It embeds the chunks that Stockade made of the same documents, one call a document as a pipeline of
threads does, and answers with one JSON line. The interpreter, the imports, the model and a first call
are start-up and not timed. PyTorch chooses its own number of threads, as it does for whoever does not
ask ($OMP_NUM_THREADS decides otherwise). It opens no network connection.
"""

import argparse
import json
import time
from concurrent.futures import ThreadPoolExecutor


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True, help="folder of the model")
    parser.add_argument("--chunks", required=True, help="JSON lines {chunks: [text]}, one a document")
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--sample", required=True, help="numbers of chunks whose vectors are shown")
    return parser.parse_args()


def load(options):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(options.model, device="cpu")
    model.encode(["The first call prepares what later ones use."])
    return model


def main():
    options = arguments()
    model = load(options)
    with open(options.chunks, encoding="utf-8") as lines:
        documents = [json.loads(line)["chunks"] for line in lines]

    def embed(chunks):
        return model.encode(chunks, show_progress_bar=False)

    began = time.perf_counter()
    with ThreadPoolExecutor(max_workers=options.workers) as pool:
        vectors = list(pool.map(embed, documents))
    seconds = time.perf_counter() - began

    flat = [vector for document in vectors for vector in document]
    sample = [flat[int(number)].tolist() for number in options.sample.split(",")]
    answer = {"seconds": seconds, "documents": len(documents), "chunks": len(flat), "sample": sample}
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
