import { mount } from "svelte";
import App from "./App.svelte";
import "./app.css";
import { isolated } from "./isolation";

if (await isolated()) mount(App, { target: document.getElementById("app")! });
