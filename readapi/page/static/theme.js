// Dark, light, or as the system has it. The choice is kept in this browser.

const KEPT = "exchange-theme";
const NEXT = { system: "dark", dark: "light", light: "system" };

export function chooseTheme(button) {
  let theme = localStorage.getItem(KEPT) ?? "system";
  if (!(theme in NEXT)) theme = "system";
  const show = () => {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    button.textContent = `Theme: ${theme}`;
    dispatchEvent(new Event("themechange"));
  };
  button.addEventListener("click", () => {
    theme = NEXT[theme];
    localStorage.setItem(KEPT, theme);
    show();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  show();
}
