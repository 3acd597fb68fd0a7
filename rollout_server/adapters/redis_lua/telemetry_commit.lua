-- One report, once. ARGV is read from front to back:
--   instance, sequence, at_ms, most units of a sample, most strata of a run, name of the rest;
--   then six lists, each after its length: bounds (run, metric, bound),
--   events (run, metric, window, allocation, reach, stratum, arm, cell),
--   outcomes (the same, with units instead of a cell: unit, value, bin or NaN), units (run, window, allocation, reach,
--   stratum, arm, exposed, reporting), unattributed (name, count), losses (name, count).
-- Returns {1 if it is a repeat, sums left out because their window was judged}
local at = 0
local function take() at = at + 1 return ARGV[at] end
local function number() return tonumber(take()) end
local function each(work) for _ = 1, number() do work() end end

local instance, sequence, at_ms = take(), number(), number()
local units_max, strata_max, rest = number(), number(), take()
if sequence <= tonumber(redis.call('HGET', INSTANCES, instance) or '0') then return {1, 0} end
redis.call('HSET', INSTANCES, instance, text_of(sequence))
redis.call('ZADD', HEARD, 'GT', at_ms, instance)

local late, last_windows, judged = 0, {}, {}

-- Many doubles in one call: a cell with its classes has 132 of them.
local DOUBLES = 200

local function read_cell(bytes)
  local cell, size = {}, #bytes / 8
  for first = 1, size, DOUBLES do
    local count = math.min(DOUBLES, size - first + 1)
    local values = {struct.unpack('<' .. string.rep('d', count), bytes, first * 8 - 7)}
    for i = 1, count do cell[first + i - 1] = values[i] end
  end
  return cell
end

local function write_cell(cell)
  local parts = {}
  for first = 1, #cell, DOUBLES do
    local last = math.min(first + DOUBLES - 1, #cell)
    parts[#parts + 1] = struct.pack('<' .. string.rep('d', last - first + 1), unpack(cell, first, last))
  end
  return table.concat(parts)
end

local function add_cells(left, right)
  local sum, with = {left[1] + right[1], left[2] + right[2], left[3] + right[3]}, math.max(left[4], right[4])
  sum[4] = with
  for i = 5, 4 + 2 * with do sum[i] = (left[4] > 0 and left[i] or 0) + (right[4] > 0 and right[i] or 0) end
  local counts, bins = {}, {}
  for _, cell in ipairs({left, right}) do
    for i = 5 + 2 * cell[4], #cell, 2 do
      if not counts[cell[i]] then bins[#bins + 1] = cell[i] end
      counts[cell[i]] = (counts[cell[i]] or 0) + cell[i + 1]
    end
  end
  table.sort(bins)
  for _, bin in ipairs(bins) do
    sum[#sum + 1] = bin
    sum[#sum + 1] = counts[bin]
  end
  return sum
end

local function is_open(run, metric, window)
  if window > (last_windows[run] or tonumber(redis.call('HGET', RUNS, run) or '-1')) then
    redis.call('HSET', RUNS, run, text_of(window))
    last_windows[run] = window
  end
  local key = run .. ' ' .. metric
  judged[key] = judged[key] or tonumber(redis.call('HGET', of_run(run, 'judged'), metric) or '-1')
  return window > judged[key]
end

local function place_of(run, allocation, reach, stratum, arm)
  local strata = of_run(run, 'strata')
  if stratum ~= '' and redis.call('SISMEMBER', strata, stratum) == 0 then
    if redis.call('SCARD', strata) >= strata_max then stratum = rest else redis.call('SADD', strata, stratum) end
  end
  return table.concat({allocation, reach, arm, stratum}, '\0')
end

local noted = {}

local function note_window(run, metric, window)
  local key = window_of(run, metric, text_of(window))
  if not noted[key] then
    redis.call('SADD', of_run(run, 'metrics'), metric)
    redis.call('ZADD', windows_of(run, metric), window, text_of(window))
    noted[key] = true
  end
  return key
end

local function put(run, metric, window, place, cell)
  local key = note_window(run, metric, window)
  local known = redis.call('HGET', key, place)
  redis.call('HSET', key, place, write_cell(known and add_cells(read_cell(known), cell) or cell))
end

local function see_less(run, value)
  local exposed, reporting, place = string.match(value, '^(%d*) (%d*) (.*)$')
  for what, window in pairs({exposed = exposed, reporting = reporting}) do
    if window ~= '' then
      local key, field = window_of(run, '', window), place .. '\0' .. what
      if redis.call('HINCRBY', key, field, -1) <= 0 then redis.call('HDEL', key, field) end
    end
  end
end

-- Drops every unit of a sample that is not below a bound.
local function cut(run, metric, bound)
  redis.call('HSET', of_run(run, 'bounds'), metric, struct.pack('>I4I4', bound[1], bound[2]))
  local key = metric == '' and of_run(run, 'units') or of_run(run, 'outcomes:' .. metric)
  local cursor = '0'
  repeat
    local page = redis.call(metric == '' and 'HSCAN' or 'SSCAN', key, cursor, 'COUNT', AT_ONCE)
    cursor = page[1]
    for i = 1, #page[2], metric == '' and 2 or 1 do
      if not is_below(halves(page[2][i]), bound) then
        if metric == '' then
          if redis.call('HDEL', key, page[2][i]) == 1 then see_less(run, page[2][i + 1]) end
        else
          redis.call('SREM', key, page[2][i])
        end
      end
    end
  until cursor == '0'
end

local function keep_bound(run, metric, count, bound)
  if count <= units_max then return end
  local high, low = math.floor(bound[1] / 2), math.floor(bound[2] / 2) + (bound[1] % 2) * (WORD / 2)
  if high == 0 and low == 0 then low = 1 end
  cut(run, metric, {high, low})
end

local function count_outcomes(run, metric, window, place, outcomes)
  local bound, key = bound_of(run, metric), of_run(run, 'outcomes:' .. metric)
  local cell, counts, bins = {0, 0, 0, 0}, {}, {}
  for i = 1, #outcomes, 24 do
    local unit = string.sub(outcomes, i, i + 7)
    if is_below(halves(unit), bound) and redis.call('SADD', key, unit) == 1 then
      local value, bin = struct.unpack('<dd', outcomes, i + 8)
      cell[1], cell[2], cell[3] = cell[1] + 1, cell[2] + value, cell[3] + value * value
      if bin == bin then
        if not counts[bin] then bins[#bins + 1] = bin end
        counts[bin] = (counts[bin] or 0) + 1
      end
    end
  end
  if cell[1] > 0 then
    table.sort(bins)
    for _, bin in ipairs(bins) do
      cell[#cell + 1] = bin
      cell[#cell + 1] = counts[bin]
    end
    put(run, metric, window, place, cell)
  end
  keep_bound(run, metric, redis.call('SCARD', key), bound)
end

local function see(run, window, place, what, units)
  local bound, key, fields = bound_of(run, ''), of_run(run, 'units'), {}
  for i = 1, #units, 8 do
    local unit = string.sub(units, i, i + 7)
    if is_below(halves(unit), bound) then fields[#fields + 1] = unit end
  end
  local at_window, counts, seen, new = text_of(window), {}, {}, {}
  for first = 1, #fields, AT_ONCE do
    local last = math.min(first + AT_ONCE - 1, #fields)
    for i, known in ipairs(redis.call('HMGET', key, unpack(fields, first, last))) do
      local unit = fields[first + i - 1]
      local exposed, reporting, home = string.match(known or ('  ' .. place), '^(%d*) (%d*) (.*)$')
      local before = what == 'exposed' and exposed or what == 'reporting' and reporting
      if before == '' and not seen[unit] then
        seen[unit] = true
        if what == 'exposed' then exposed = at_window else reporting = at_window end
        new[#new + 1] = unit
        new[#new + 1] = exposed .. ' ' .. reporting .. ' ' .. home
        counts[home] = (counts[home] or 0) + 1
      end
    end
  end
  for first = 1, #new, AT_ONCE do redis.call('HSET', key, unpack(new, first, math.min(first + AT_ONCE - 1, #new))) end
  for home, count in pairs(counts) do
    redis.call('HINCRBY', note_window(run, '', window), home .. '\0' .. what, count)
  end
end

each(function()
  local run, metric, bound = take(), take(), take()
  if redis.call('HEXISTS', RUNS, run) == 0 then redis.call('HSET', RUNS, run, '-1') end
  if bound ~= '' and is_below(halves(bound), bound_of(run, metric)) then cut(run, metric, halves(bound)) end
end)
each(function()
  local run, metric, window = take(), take(), number()
  local allocation, reach, stratum, arm, cell = take(), take(), take(), take(), take()
  if is_open(run, metric, window) then
    put(run, metric, window, place_of(run, allocation, reach, stratum, arm), read_cell(cell))
  else
    late = late + 1
  end
end)
each(function()
  local run, metric, window = take(), take(), number()
  local allocation, reach, stratum, arm, outcomes = take(), take(), take(), take(), take()
  if is_open(run, metric, window) then
    count_outcomes(run, metric, window, place_of(run, allocation, reach, stratum, arm), outcomes)
  else
    late = late + 1
  end
end)
each(function()
  local run, window = take(), number()
  local allocation, reach, stratum, arm, exposed, reporting = take(), take(), take(), take(), take(), take()
  if is_open(run, '', window) then
    local place = place_of(run, allocation, reach, stratum, arm)
    see(run, window, place, 'exposed', exposed)
    see(run, window, place, 'reporting', reporting)
    keep_bound(run, '', redis.call('HLEN', of_run(run, 'units')), bound_of(run, ''))
  else
    late = late + 1
  end
end)
for _, book in ipairs({'unattributed', 'loss'}) do
  each(function() redis.call('HINCRBY', LEDGER, book .. ' ' .. take(), take()) end)
end
if late > 0 then redis.call('HINCRBY', LEDGER, 'loss late', late) end
return {0, late}
