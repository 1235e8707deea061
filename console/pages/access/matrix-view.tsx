/** Shows the matrix of callers and methods, for one service or for all. */
import { useMemo } from "preact/hooks";
import type { AccessChange } from "../../api/messages.js";
import { counted } from "../../format/amounts.js";
import { clip, shortIdentity, shortMethod } from "../../format/names.js";
import { Search, Select } from "../../parts/controls.js";
import { Icon } from "../../parts/icon.js";
import { Empty, Notice, Shown } from "../../parts/states.js";
import type { Loaded } from "../../state/loaded.js";
import { type Place, renderPlace } from "../../state/place.js";
import { useFilter } from "../../state/use-place.js";
import { buildMatrix, type Cell, type Matrix, renderLeftOff } from "./matrix.js";

interface MatrixProps {
  readonly place: Place;
  readonly access: Loaded<readonly AccessChange[]>;
  readonly again: () => void;
  readonly services: readonly string[];
}

export function MatrixView({ place, access, again, services }: MatrixProps) {
  const [service, setService] = useFilter(place, "service");
  const [search, setSearch] = useFilter(place, "q");
  const matrix = useMemo(() => buildMatrix(access.value ?? [], service, search), [access.value, service, search]);
  return (
    <>
      <div class="tools bottom">
        <Select
          label="Service"
          value={service}
          onChange={setService}
          options={[["", "all services"], ...services.map((name) => [name, name] as const)]}
        />
        <Search label="Search callers and what they call" value={search} onChange={setSearch} />
        <Key />
      </div>
      <Shown
        of={access}
        what="who may call what"
        again={again}
        isEmpty={(value) => value.length === 0}
        empty={
          <Empty icon="access" title="Nobody may call anything">
            The active revision allows no call, or there is none. Whatever is called is denied by default.
          </Empty>
        }
      >
        {() =>
          matrix.rows.length === 0 ? (
            <Empty icon="search" title="Nobody is like that">
              No caller of that name may call something here.
            </Empty>
          ) : (
            <MatrixTable matrix={matrix} service={service} />
          )
        }
      </Shown>
    </>
  );
}

function Key() {
  return (
    <div class="row quiet" aria-hidden="true">
      <span class="row">
        <CellSign kind="allowed" /> allowed
      </span>
      <span class="row">
        <CellSign kind="conditional" /> under a condition
      </span>
      <span class="row">
        <CellSign kind="denied" /> denied
      </span>
    </div>
  );
}

function MatrixTable({ matrix, service }: { readonly matrix: Matrix; readonly service: string }) {
  const { columns, rows, callersLeftOff, columnsLeftOff } = matrix;
  return (
    <>
      {callersLeftOff + columnsLeftOff > 0 && (
        <Notice tone="warn" title="This is a part of it">
          <p>
            {renderLeftOff(callersLeftOff, columnsLeftOff, service === "" ? "service" : "method")} find no room here.
            Search for those you want to see{service === "" && ", or choose a service"}.
          </p>
        </Notice>
      )}
      <div class="table-frame matrix-frame">
        <table class="matrix">
          <thead>
            <tr>
              <td />
              {columns.map((column) => (
                <th key={column} scope="col" title={column}>
                  {service === "" ? (
                    <a href={renderPlace({ page: "access", filters: { service: column } })}>{clip(column, 26)}</a>
                  ) : (
                    <span>{clip(column === "*" ? "other methods" : shortMethod(column), 26)}</span>
                  )}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row.caller}>
                <th scope="row" title={row.caller}>
                  {row.caller === "*" ? "everyone else" : clip(shortIdentity(row.caller), 34)}
                </th>
                {row.cells.map((cell, index) => (
                  <td key={columns[index]}>
                    <a
                      href={linkOf(row.caller, service, columns[index] ?? "")}
                      aria-label={`${row.caller === "*" ? "everyone else" : row.caller}, ${columns[index]}: ${wordsOf(cell)} ${cell.text}`}
                      title={cell.text || wordsOf(cell)}
                    >
                      <CellSign kind={cell.kind} count={cell.count} />
                    </a>
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

function linkOf(caller: string, service: string, column: string): string {
  if (service === "") return renderPlace({ page: "access", filters: { service: column } });
  const method = column.includes("*") ? "" : column;
  return renderPlace({
    page: "access",
    filters: { view: "can", caller: caller === "*" ? "" : caller, service, method },
  });
}

const wordsOf = ({ kind, count }: Cell): string => (count > 1 ? `${kind}, ${counted(count, "method")}` : kind);

function CellSign({ kind, count = 1 }: { readonly kind: Cell["kind"]; readonly count?: number }) {
  return (
    <span class={`cell ${kind}`}>
      {kind === "allowed" && <Icon name="check" />}
      {kind === "conditional" && "if"}
      {kind === "denied" && "·"}
      {count > 1 && <small>{count}</small>}
    </span>
  );
}
