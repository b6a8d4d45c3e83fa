import { createReadStream, readFileSync } from "node:fs";
import { join } from "node:path";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

const RUNTIME = join(import.meta.dirname, "node_modules/onnxruntime-web/dist");
/** One build serves WebAssembly and WebGPU. */
const RUNTIME_FILES = [
  "ort-wasm-simd-threaded.asyncify.mjs",
  "ort-wasm-simd-threaded.asyncify.wasm",
];
const SERVER = "http://127.0.0.1:8741";
const ISOLATED = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

/** Copies onnxruntime's own files beside the page, unchanged. */
function runtime(): Plugin {
  return {
    name: "onnxruntime",
    generateBundle() {
      for (const file of RUNTIME_FILES) {
        this.emitFile({
          type: "asset",
          fileName: `ort/${file}`,
          source: readFileSync(join(RUNTIME, file)),
        });
      }
    },
    configureServer(server) {
      server.middlewares.use("/ort", (request, response, next) => {
        const file = RUNTIME_FILES.find((name) => request.url?.startsWith(`/${name}`));
        if (file === undefined) return next();
        const kind = file.endsWith(".wasm") ? "application/wasm" : "text/javascript";
        response.setHeader("Content-Type", kind);
        for (const [name, value] of Object.entries(ISOLATED)) response.setHeader(name, value);
        createReadStream(join(RUNTIME, file)).pipe(response);
      });
    },
  };
}

export default defineConfig({
  base: "./",
  plugins: [svelte(), runtime()],
  resolve: { conditions: ["onnxruntime-web-use-extern-wasm", "module", "browser", "import"] },
  worker: { format: "es" },
  build: {
    outDir: "../src/metastyle/studio/page",
    emptyOutDir: true,
    target: "es2022",
    chunkSizeWarningLimit: 1000,
  },
  server: { headers: ISOLATED, proxy: { "/api": SERVER, "/model": SERVER } },
  test: { include: ["test/**/*.test.ts"] },
});
