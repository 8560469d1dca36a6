// The systems' work: rows of one table, again and again, in whichever thread has time.

export function pull(job) {
  const { rows, dt } = job, x = job.read("position.x"), y = job.read("position.y"), vx = job.write("velocity.x"), vy = job.write("velocity.y");
  for (let i = 0; i < rows; i++) {
    vx[i] -= x[i] * dt;
    vy[i] -= y[i] * dt;
  }
}

export function integrate(job) {
  const { rows, dt } = job;
  for (const axis of ["x", "y"]) {
    const place = job.write(`position.${axis}`), speed = job.read(`velocity.${axis}`);
    for (let i = 0; i < rows; i++) place[i] += speed[i] * dt;
  }
}
