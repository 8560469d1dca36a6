//! Small things done to the document.

export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

export function set(id: string, text: string): void {
  setText(document.getElementById(id)!, text);
}

/** Fills a table's body; cells that hold their text already are left alone. `dress`: what else a row's head has. */
export function rows(table: HTMLTableElement, all: readonly (readonly [string, string] | string[])[], dress?: (head: HTMLTableCellElement, text: string) => void): void {
  const body = table.tBodies[0]!;
  while (body.rows.length > all.length) body.deleteRow(-1);
  all.forEach(([head, text], i) => {
    let row = body.rows[i];
    if (!row) {
      row = body.insertRow();
      const cell = document.createElement("th");
      cell.scope = "row";
      row.append(cell, document.createElement("td"));
    }
    if (row.cells[0]!.textContent !== head) row.cells[0]!.textContent = head ?? "";
    dress?.(row.cells[0]!, head ?? "");
    setText(row.cells[1]!, text ?? "");
  });
}
