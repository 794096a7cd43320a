import { NextResponse, type NextRequest } from "next/server";

export async function middleware(request: NextRequest): Promise<NextResponse> {
  return NextResponse.next();
}

export const config = { matcher: ["/((?!_next).*)"] };
