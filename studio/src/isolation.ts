/** Without the server's headers there are no threads: a service worker adds them, once. */

const TRIED = "isolation";

/** Whether the page is about to be loaded again, isolated. */
export async function isolated(): Promise<boolean> {
  if (crossOriginIsolated || !isSecureContext || !("serviceWorker" in navigator)) return true;
  if (sessionStorage.getItem(TRIED)) return true; // it does not help here: one thread has to do
  sessionStorage.setItem(TRIED, "yes");
  try {
    await navigator.serviceWorker.register(new URL("isolate.js", document.baseURI));
    await navigator.serviceWorker.ready;
    location.reload();
    return false;
  } catch {
    return true;
  }
}
