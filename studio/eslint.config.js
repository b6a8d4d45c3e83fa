import js from "@eslint/js";
import svelte from "eslint-plugin-svelte";
import globals from "globals";
import ts from "typescript-eslint";
import svelteConfig from "./svelte.config.js";

export default ts.config(
  js.configs.recommended,
  ...ts.configs.strict,
  ...svelte.configs.recommended,
  { languageOptions: { globals: { ...globals.browser, ...globals.worker } } },
  {
    files: ["**/*.svelte", "**/*.svelte.ts"],
    languageOptions: { parserOptions: { parser: ts.parser, svelteConfig } },
  },
  // Collections are private, or replaced as a whole when they change.
  { rules: { "svelte/prefer-svelte-reactivity": "off" } },
  // TypeScript itself knows which names exist.
  { rules: { "no-undef": "off", "@typescript-eslint/no-non-null-assertion": "off" } },
);
