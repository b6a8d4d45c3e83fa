/// <reference types="vite/client" />

declare module "onnxruntime-web/webgpu" {
  export * from "onnxruntime-web";
}
