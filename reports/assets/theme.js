"use strict";
// Before anything is painted: the theme that the reader chose, where the browser keeps such things.
try {
  const theme = localStorage.getItem("convbench-theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch { /* no storage: as the system has it */ }
