/// <reference types="vite/client" />

declare module "onnxruntime-web/wasm" {
  export * from "onnxruntime-web";
}

declare module "onnxruntime-web/jspi" {
  export * from "onnxruntime-web";
}
